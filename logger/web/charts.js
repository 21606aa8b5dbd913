// Today: the curve of power, energy by hour, and what it cost.

import { element, keys, number, replace, step, svg } from "./draw.js";

const LEFT = 46;
const HOUR = 3_600_000;
const NAMES = { grid: "grid", pv: "PV", battery: "battery", load: "load" };

// As wide as its place, so that the text is of one size on a phone and on a desk.
const widthOf = (id) => Math.max(240, Math.round(document.getElementById(id).clientWidth));

function frame(width, height, low, high, unit) {
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height + 22}`, role: "img" });
  const y = (value) => 8 + ((high - value) / (high - low || 1)) * (height - 16);
  const every = step(high - low, 4);
  for (let at = Math.ceil(low / every) * every; at <= high + every / 1e6; at += every) {
    chart.append(svg("line", { class: "axis", x1: LEFT, x2: width, y1: y(at), y2: y(at) }));
    const digits = every < 0.1 ? 2 : every < 1 ? 1 : 0;
    chart.append(svg("text", { class: "soft", x: LEFT - 6, y: y(at) + 4, "text-anchor": "end", "font-size": 12 }, number(at, digits)));
  }
  chart.append(svg("text", { class: "soft", x: 0, y: height + 18, "font-size": 12 }, unit));
  return { chart, y };
}

function clock(zone) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
}

// Every few hours by the clock, also on a day with 23 or 25 of them.
function hourMarks(chart, width, start, end, height, zone) {
  const shown = clock(zone);
  const every = width < 420 ? 6 : 4;
  let last = -HOUR * every;
  for (let at = start; at < end; at += HOUR) {
    const text = shown.format(at);
    const [hour, minute] = text.split(":").map(Number);
    if (minute || hour % every || at - last < 2 * HOUR) continue;
    last = at;
    const x = LEFT + ((at - start) / (end - start)) * (width - LEFT);
    chart.append(svg("text", { class: "soft hour", x, y: height + 18, "font-size": 12, "text-anchor": at === start ? "start" : "middle" }, text));
  }
}

export function curve(today, zone) {
  const start = Date.parse(today.start);
  const end = Date.parse(today.end);
  // With a grid meter alone the load is what it draws.
  const alone = !("pv" in today.power || "battery" in today.power);
  const roles = Object.keys(NAMES).filter((role) => role in today.power && !(role === "load" && alone && "grid" in today.power));
  const values = roles.flatMap((role) => today.power[role]).filter((one) => one !== null);
  if (!values.length) {
    replace("curve", element("p", { class: "soft" }, "No minutes of today in the buffer yet."));
    return;
  }
  const height = 190;
  const width = widthOf("curve");
  const low = Math.min(0, ...values) / 1000;
  const high = Math.max(0.1, ...values) / 1000;
  const { chart, y } = frame(width, height, low, high, "kW");
  hourMarks(chart, width, start, end, height, zone);
  for (const role of roles) {
    let line = "";
    let open = false;
    today.power[role].forEach((watts, place) => {
      if (watts !== null) {
        const at = (place + 0.5) * today.step_s * 1000;
        const x = LEFT + (at / (end - start)) * (width - LEFT);
        // A step without neighbours is a short line, or it would not be seen.
        line += `${open ? "L" : "M"} ${x.toFixed(1)} ${y(watts / 1000).toFixed(1)} ${open ? "" : "h 0.5 "}`;
      }
      open = watts !== null;
    });
    chart.append(svg("g", { class: role }, svg("path", { class: "curve", d: line })));
  }
  chart.setAttribute("aria-label", `power of today: ${roles.map((role) => NAMES[role]).join(", ")}`);
  replace("curve", chart, keys(roles.map((role) => [role, NAMES[role]])));
}

export function hours(rows, day, zone) {
  const first = Date.parse(rows[0]?.start ?? "");
  if (Number.isNaN(first)) {
    replace("hours", element("p", { class: "soft" }, "No energy of today in the buffer yet."));
    return;
  }
  const height = 150;
  const width = widthOf("hours");
  // Above the line what the site used from the grid and from PV, below it what went back.
  const bars = rows.map((row) => ({
    start: Date.parse(row.start),
    grid: Math.max(0, row.import_kwh ?? 0),
    pv: Math.max(0, row.self_consumed_kwh ?? 0),
    back: Math.max(0, row.export_kwh ?? 0),
  }));
  const high = Math.max(0.05, ...bars.map((one) => one.grid + one.pv));
  const low = -Math.max(0, ...bars.map((one) => one.back));
  const { chart, y } = frame(width, height, low, high, "kWh");
  // A day has 23 or 25 hours when the clocks change.
  const dayStart = day ? Date.parse(day.start) : first;
  const end = day ? Date.parse(day.end) : dayStart + 24 * HOUR;
  hourMarks(chart, width, dayStart, end, height, zone);
  const wide = (width - LEFT) * (HOUR / (end - dayStart));
  const shown = clock(zone);
  for (const one of bars) {
    const x = LEFT + ((one.start - dayStart) / HOUR) * wide + 2;
    const bar = (kind, from, to, text) => {
      const box = { class: "bar", x, width: wide - 4, y: y(to), height: Math.max(0, y(from) - y(to)) };
      return svg("g", { class: kind }, svg("rect", box, svg("title", {}, `${shown.format(one.start)}: ${text}`)));
    };
    chart.append(bar("grid", 0, one.grid, `${number(one.grid, 2)} kWh drawn`),
      bar("pv", one.grid, one.grid + one.pv, `${number(one.pv, 2)} kWh of PV used`),
      bar("battery", -one.back, 0, `${number(one.back, 2)} kWh fed back`));
  }
  chart.setAttribute("aria-label", "energy by hour");
  const names = [["grid", "drawn"], ["pv", "PV used"], ["battery", "fed back"]];
  const some = { grid: (one) => one.grid, pv: (one) => one.pv, battery: (one) => one.back };
  replace("hours", chart, keys(names.filter(([kind]) => bars.some(some[kind]))));
}

export function sums(total, currency) {
  const kwh = (value) => number(value, 2, "kWh");
  const share = (value) => (typeof value === "number" ? number(100 * value, 0, "%") : "–");
  const found = [
    ["grid", "drawn", total.import_kwh, kwh],
    ["battery", "fed back", total.export_kwh, kwh],
    ["pv", "PV", total.pv_kwh, kwh],
    ["load", "used", total.pv_kwh === null ? null : total.load_kwh, kwh],
    ["load", "self-sufficiency", total.self_sufficiency, share],
    ["grid", "cost", total.cost, (value) => number(value, 2, currency)],
    ["battery", "revenue", total.revenue || null, (value) => number(value, 2, currency)],
  ];
  replace("sums", ...found.filter(([, , value]) => value !== null && value !== undefined).map(([kind, name, value, text]) =>
    element("div", { class: kind }, element("strong", {}, text(value)), element("span", {}, name))));
}
