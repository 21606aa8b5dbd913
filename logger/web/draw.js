// What all parts of the page draw with. Text from outside only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.map((one) => (one instanceof Node ? one : String(one))));
  return made;
}

export function replace(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

const shown = (digits) =>
  new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
const FORMATS = [0, 1, 2, 3].map(shown);

export function number(value, digits, unit = "") {
  if (typeof value !== "number") return "–";
  const text = FORMATS[digits].format(value).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
  return unit ? `${text}\u00a0${unit}` : text;
}

export function power(watts) {
  if (typeof watts !== "number") return "–";
  const size = Math.abs(watts);
  if (size < 1000) return number(watts, 0, "W");
  return number(watts / 1000, size < 9995 ? 2 : size < 99950 ? 1 : 0, "kW"); // three digits
}

export function age(seconds) {
  if (typeof seconds !== "number") return "never";
  if (seconds < 120) return `${Math.round(seconds)}\u00a0s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}\u00a0min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)}\u00a0h ago`;
  return `${Math.round(seconds / 86400)}\u00a0days ago`;
}

// The columns whose places are in `spare` are left out on a phone.
export function table(heads, rows, spare = []) {
  const kept = (place) => (spare.includes(place) ? { class: "spare" } : {});
  const head = element("tr", {}, ...heads.map((one, place) => element("th", { scope: "col", ...kept(place) }, one)));
  const body = rows.map(({ cells, kind = "" }) =>
    element("tr", kind ? { class: kind } : {}, ...cells.map((one, place) => element("td", kept(place), one))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

export function keys(names) {
  return element("div", { class: "keys" }, ...names.map(([kind, text]) => element("span", { class: kind }, text)));
}

// A round step that divides `range` into about `parts`.
export function step(range, parts) {
  const rough = range / parts || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find((one) => one * size >= rough) * size;
}
