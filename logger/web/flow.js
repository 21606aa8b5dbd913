// The flow of power between grid, PV, battery and load, as a picture that moves.

import { element, number, power, replace, svg, table } from "./draw.js";

const PLACES = { pv: [200, 62], grid: [62, 190], load: [338, 190], battery: [200, 318] };
const CENTRE = [200, 190];
const NAMES = { pv: "PV", grid: "Grid", load: "Load", battery: "Battery" };
const RADIUS = 52;
const STILL = 5; // W: what is less does not move
const PHASES = ["L1", "L2", "L3"];

function powers(role, meters) {
  const own = meters.filter((one) => one.role === role).map((one) => one.values["active_power/total"]);
  return { all: own.length, known: own.filter((one) => typeof one === "number") };
}

// Power into the middle is positive: from the grid, from PV, out of the battery.
function sources(site, meters) {
  const values = site.values ?? {};
  const sum = (role) => {
    const { all, known } = powers(role, meters);
    return all && known.length === all ? known.reduce((a, b) => a + b, 0) : undefined;
  };
  const has = (role) => meters.some((one) => one.role === role);
  const turned = (value) => (typeof value === "number" ? -value : undefined);
  const found = {};
  if (has("grid")) found.grid = values.grid_power ?? sum("grid");
  if (has("pv")) {
    const drawn = sum("pv");
    found.pv = values.pv_power ?? (typeof drawn === "number" ? Math.max(0, -drawn) : undefined);
  }
  if (has("battery")) found.battery = turned(values.battery_power ?? sum("battery"));
  if (has("grid") && !has("pv") && !has("battery")) found.load = turned(found.grid);
  else if (has("grid")) found.load = turned(values.load_power);
  else if (has("load")) {
    // Loads alone are in no balance: those that have a value add up, and it is said how many.
    const { known } = powers("load", meters);
    found.load = known.length ? turned(known.reduce((a, b) => a + b, 0)) : undefined;
  }
  return found;
}

let drawn = "";
const parts = new Map();

function build(roles) {
  parts.clear();
  const alone = roles.length === 1; // in the middle, with nothing to flow to
  const low = roles.includes("battery") && !alone ? 386 : 258;
  const top = roles.includes("pv") && !alone ? 0 : 122;
  const picture = svg("svg", { viewBox: `0 ${top} 400 ${low - top}`, role: "img", "aria-label": "flow of power" });
  for (const role of roles) {
    const [x, y] = alone ? CENTRE : PLACES[role];
    const line = `M ${x} ${y} L ${CENTRE[0]} ${CENTRE[1]}`;
    if (!alone) picture.append(svg("path", { class: "track", d: line }));
    const moving = svg("path", { class: "moving", d: line });
    picture.append(svg("g", { class: role }, moving));
    parts.set(role, { moving });
  }
  if (!alone) picture.append(svg("circle", { class: "track", cx: CENTRE[0], cy: CENTRE[1], r: 5 }));
  for (const role of roles) {
    const [x, y] = alone ? CENTRE : PLACES[role];
    const value = svg("text", { x, y: y + 6, "text-anchor": "middle", "font-size": 19, "font-weight": 600 });
    const note = svg("text", { x, y: y + 26, "text-anchor": "middle", "font-size": 12, class: "soft" });
    const more = svg("text", { x, y: y + 40, "text-anchor": "middle", "font-size": 12, class: "soft" });
    const name = svg("text", { x, y: y - 18, "text-anchor": "middle", "font-size": 13, class: "soft" }, NAMES[role]);
    picture.append(svg("g", { class: role }, svg("circle", { class: "node", cx: x, cy: y, r: RADIUS }), name, value, note, more));
    Object.assign(parts.get(role), { value, note, more });
  }
  replace("flow", roles.length ? picture : element("p", { class: "soft" }, "No meter with a role in the balance."));
}

function word(role, watts, meters) {
  if (typeof watts !== "number") return "no value";
  if (role === "load" && !meters.some((one) => one.role === "grid")) {
    const { all, known } = powers(role, meters);
    if (known.length < all) return `${known.length} of ${all}\nmeters`; // in one line it would touch the circle
  }
  if (Math.abs(watts) < STILL) return "";
  if (role === "grid") return watts > 0 ? "drawn" : "fed back";
  if (role === "battery") return watts > 0 ? "discharging" : "charging";
  return "";
}

export function flow(site, meters) {
  const found = sources(site, meters);
  const roles = Object.keys(NAMES).filter((role) => role in found);
  if (drawn !== roles.join()) {
    build(roles);
    drawn = roles.join();
  }
  for (const role of roles) {
    const watts = found[role];
    const part = parts.get(role);
    part.value.textContent = power(typeof watts === "number" ? Math.abs(watts) : undefined);
    [part.note.textContent, part.more.textContent = ""] = word(role, watts, meters).split("\n");
    const still = typeof watts !== "number" || Math.abs(watts) < STILL;
    part.moving.style.display = still ? "none" : "";
    part.moving.classList.toggle("back", watts < 0);
    // 100 W creeps, 10 kW runs: a dash takes 2.5 to 0.4 seconds.
    if (!still) {
      const speed = Math.round(10 * Math.min(2.5, Math.max(0.4, 3.3 - 0.7 * Math.log10(Math.abs(watts))))) / 10;
      part.moving.style.animationDuration = `${speed}s`;
    }
  }
  demand(site.values ?? {});
  phases(meters);
}

// Of the quarter hour that runs, once it was read from its beginning.
function demand({ demand: soFar, demand_forecast: forecast }) {
  const known = typeof soFar === "number" && typeof forecast === "number";
  document.getElementById("demand").hidden = !known;
  replace("demand", known ? `Demand of this quarter hour: ${number(soFar, 2, "kW")} so far, forecast ${number(forecast, 2, "kW")}` : "");
}

function phases(meters) {
  const one = meters.find((meter) => meter.role === "grid") ?? meters[0];
  if (!one) return;
  const value = (field, phase) => one.values[`${field}/${phase}`];
  const rows = PHASES.filter((phase) => ["voltage", "current", "active_power"].some((field) => value(field, phase) !== undefined))
    .map((phase) => ({
      cells: [phase, number(value("voltage", phase), 1, "V"), number(value("current", phase), 2, "A"),
        power(value("active_power", phase)), number(value("power_factor", phase), 2)],
    }));
  const hertz = value("frequency", "total");
  const name = `${one.name}${typeof hertz === "number" ? `, ${number(hertz, 2, "Hz")}` : ""}`;
  const shown = rows.length ? table(["", "voltage", "current", "power", "factor"], rows)
    : element("p", { class: "soft" }, "No values of phases at present.");
  replace("phases", element("h2", {}, name), shown);
}
