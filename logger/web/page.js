// The live page: newest values as they come, today from the buffer, events.

import { curve, hours, sums } from "./charts.js";
import { age, element, number, power, replace, table } from "./draw.js";
import { flow } from "./flow.js";

const MANY = 12; // from so many meters on there is a field to find one
const MOST_EVENTS = 30;
const MOST_PROBLEMS = 6;
const PAST_MS = 60_000;
const STATUS_MS = 15_000;
const HEADS = ["name", "power", "last seen", "role", "V L1", "V L2", "V L3", "import kWh", "export kWh"];
const SPARE = [3, 4, 5, 6, 7, 8]; // left out on a phone
const SILENT_MS = 40_000; // the server sends something every 15 s

const meters = new Map(); // by name: what came, and when
let site = { values: {} };
let zone = "UTC";
let currency = "";
let source = null;
let heard = 0;
let waiting = false;
let drawPast = () => {};

const byId = (id) => document.getElementById(id);

async function ask(path) {
  const answer = await fetch(`api/${path}`, { headers: { accept: "application/json" } });
  if (answer.status === 401) {
    login();
    throw new Error("token");
  }
  const data = await answer.json();
  if (!answer.ok && !(path === "status" && answer.status === 503 && "problems" in data)) throw new Error(data.error);
  return data;
}

function login() {
  source?.close();
  byId("main").hidden = true;
  byId("login").hidden = false;
  state("a token is needed", "");
}

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("wrong").textContent = "";
  const body = JSON.stringify({ token: byId("token").value });
  try {
    const answer = await fetch("login", { method: "POST", body });
    if (answer.ok) {
      byId("token").value = "";
      byId("login").hidden = true;
      start();
    } else byId("wrong").textContent = (await answer.json()).error;
  } catch {
    byId("wrong").textContent = "the logger does not answer";
  }
});

function state(text, kind) {
  byId("state").textContent = text;
  byId("state").className = kind;
}

function take(data) {
  const now = performance.now();
  heard = now;
  for (const one of data.meters ?? []) meters.set(one.name, { ...one, came: now });
  if (data.site) site = data.site;
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }
}

function ageOf(one) {
  return one.age_s === null ? null : one.age_s + (performance.now() - one.came) / 1000;
}

function draw() {
  const all = [...meters.values()];
  flow(site, all);
  byId("search-part").hidden = all.length < MANY;
  const wanted = byId("search").value.trim().toLowerCase();
  const found = all.filter((one) => one.name.toLowerCase().includes(wanted));
  // Those without a value come first.
  const rows = found.sort((a, b) => a.available - b.available).map((one) => {
    const value = (name) => one.values[name];
    return {
      kind: one.available ? "" : "gone",
      cells: [one.name, power(value("active_power/total")), age(ageOf(one)), one.role,
        ...["L1", "L2", "L3"].map((phase) => number(value(`voltage/${phase}`), 0)),
        number(value("active_import/total/total"), 1), number(value("active_export/total/total"), 1)],
    };
  });
  replace("meters", table(HEADS, rows, SPARE));
}

function listen() {
  source?.close();
  heard = performance.now();
  source = new EventSource("api/stream");
  source.addEventListener("state", (event) => take(JSON.parse(event.data)));
  source.addEventListener("open", () => { heard = performance.now(); });
  source.addEventListener("error", () => {
    state("no connection: trying again", "bad");
    // A refusal ends the source for good, another error does not.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => ask("site").then(listen, () => {}), 5000);
  });
}

async function status() {
  try {
    const found = await ask("status");
    const problems = found.problems.slice(0, MOST_PROBLEMS).map((text) => element("li", {}, text));
    const left = found.problems.length - problems.length;
    if (left > 0) problems.push(element("li", {}, `and ${left} more: inepro-logger status has all`));
    replace("problems", ...problems);
    state(found.healthy ? "all is well" : `not well: ${found.problems.length} ${found.problems.length === 1 ? "problem" : "problems"}`, found.healthy ? "good" : "bad");
  } catch (error) {
    if (error.message !== "token") state("the logger does not answer", "bad");
  }
}

async function past() {
  const [energy, today, events] = await Promise.allSettled([
    ask("energy?from=today&to=today&by=hour&source=buffer"), ask("today"), ask("events?from=7d&source=buffer"),
  ]);
  drawPast = () => {
    if (energy.status === "fulfilled") {
      sums(energy.value.total, currency);
      hours(energy.value.rows, today.status === "fulfilled" ? today.value : null, zone);
    } else replace("hours", element("p", { class: "soft" }, `No energy: ${energy.reason.message}`));
    if (today.status === "fulfilled") curve(today.value, zone);
    else replace("curve", element("p", { class: "soft" }, `No curve: ${today.reason.message}`));
  };
  drawPast();
  if (events.status === "fulfilled") {
    const rows = events.value.events.slice(0, MOST_EVENTS).map((one) =>
      element("li", {}, element("span", { class: "soft" }, one.begin.slice(0, 16).replace("T", " ")), one.text || one.kind,
        one.end === null ? element("strong", { class: "bad" }, " goes on") : ""));
    replace("events", ...(rows.length ? rows : [element("li", { class: "soft" }, "No events.")]));
  }
}

async function start() {
  try {
    const about = await ask("site");
    byId("site").textContent = document.title = about.name;
    ({ timezone: zone, currency } = about);
  } catch (error) {
    if (error.message !== "token") {
      state("the logger does not answer: trying again", "bad");
      setTimeout(start, 5000);
    }
    return;
  }
  byId("main").hidden = false;
  listen();
  status();
  past();
}

byId("search").addEventListener("input", draw);
addEventListener("resize", () => drawPast());
setInterval(() => { if (!byId("main").hidden && !document.hidden) past(); }, PAST_MS);
setInterval(() => { if (!byId("main").hidden && !document.hidden) status(); }, STATUS_MS);
setInterval(() => {
  if (byId("main").hidden || document.hidden) return;
  if (performance.now() - heard > SILENT_MS) listen();
  else draw();
}, 5000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !byId("main").hidden) {
    status();
    past();
  }
});
start();
