/** Elements from plain calls. Outside text only ever becomes a text node, so nothing that a model or camera says is markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * An HTML element.
 * @param {string} tag  name, and classes after dots: `p.bar.said`
 * @param {Record<string, any>} [attributes]  `on...` are listeners, `style` and `data` are objects, true and false set
 *   or leave out an attribute; everything else is an attribute
 * @param {...Child} children
 * @returns {any} the element
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(' ');
  return filled(element, attributes, children);
}

/** The same for SVG. @returns {any} */
export function s(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = document.createElementNS(SVG, name);
  if (classes.length) element.setAttribute('class', classes.join(' '));
  return filled(element, attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style') for (const [name, rule] of Object.entries(value)) element.style.setProperty(name, rule);
    else if (key === 'data') Object.assign(element.dataset, value);
    else if (key === 'class')
      element.setAttribute('class', [element.getAttribute('class'), value].filter(Boolean).join(' '));
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...nodes(children));
  return element;
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function nodes(children) {
  return children
    .flat(Infinity)
    .filter(child => child !== null && child !== undefined && child !== false)
    .map(child => (child instanceof Node ? child : String(child)));
}

/** Replace what is in an element. @param {Element} element @param {...Child} children */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/** Set a text only where it differs: selections and screen readers stay where they are. */
export function setText(element, text) {
  const wanted = String(text ?? '');
  if (element.textContent !== wanted) element.textContent = wanted;
}

/**
 * Bring the children of `box` in line with `items`, keeping elements whose key is still there: focus, hover and
 * pictures survive.
 * @template T
 * @param {Element} box
 * @param {T[]} items
 * @param {(item: T) => string} keyOf  must differ between items
 * @param {(item: T) => Element} make
 * @param {(element: any, item: T) => void} [update]
 */
export function keyed(box, items, keyOf, make, update = () => {}) {
  const wanted = new Set(items.map(keyOf)),
    old = new Map();
  for (const child of [...box.children]) {
    if (wanted.has(child.dataset.key)) old.set(child.dataset.key, child);
    else child.remove(); // first, so that what stays need not be moved: a moved element loses the focus
  }
  let place = box.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = old.get(key);
    if (!element) {
      element = make(item);
      element.dataset.key = key;
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else box.insertBefore(element, place);
  }
}

const ICONS = {
  live: 'M3 4h6v5H3zM11 4h6v5h-6zM3 11h6v5H3zM11 11h6v5h-6z',
  search: 'M9 3.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11zM13 13l4 4',
  alerts: 'M10 3a5 5 0 0 1 5 5v3l1.5 3h-13L5 11V8a5 5 0 0 1 5-5zM8.2 16.8a2 2 0 0 0 3.6 0',
  teach: 'M3 3h6l8 8-6 6-8-8zM6.6 6.6h.01',
  digest: 'M4 4h12M4 8h12M4 12h8M4 16h5',
  system: 'M2 10.5h3.5l2.5-6 4 11 2.2-5H18',
  settings: 'M3 6h7M15 6h2M12.5 3.8v4.4M3 14h2M10 14h7M7.5 11.8v4.4',
  more: 'M3 5.5h14M3 10h14M3 14.5h14',
  play: 'M6 4l10 6-10 6z',
  pause: 'M7 4v12M13 4v12',
  plus: 'M10 4v12M4 10h12',
  close: 'M5 5l10 10M15 5L5 15',
  mark: 'M5 17V3h10l-3 4 3 4H5',
};

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return s('svg.ico', {viewBox: '0 0 20 20', 'aria-hidden': 'true'}, s('path', {d: ICONS[name]}));
}
