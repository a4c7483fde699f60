/** What belongs to this browser: theme, span, shortcuts. Everything else is in the server's configuration. */

function read(key, otherwise) {
  try {
    return localStorage.getItem(`vljepa.${key}`) ?? otherwise;
  } catch {
    return otherwise; // storage may be forbidden
  }
}

function write(key, value) {
  try {
    localStorage.setItem(`vljepa.${key}`, value);
  } catch {
    /* then it holds until the page is closed */
  }
}

export const preferences = {
  theme: read('theme', 'system'),
  span: Number(read('span', '120')) || 120,
  shortcuts: read('shortcuts', 'on') === 'on',

  setTheme(theme) {
    this.theme = theme;
    write('theme', theme);
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  },
  setSpan(span) {
    this.span = span;
    write('span', String(span));
  },
  setShortcuts(on) {
    this.shortcuts = on;
    write('shortcuts', on ? 'on' : 'off');
  },
};
