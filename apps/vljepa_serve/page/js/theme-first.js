// Runs before the first paint, so that a dark page does not flash light; all else is in modules.
try {
  const theme = localStorage.getItem('vljepa.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  /* storage may be forbidden: then the system's theme holds */
}
