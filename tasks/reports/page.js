"use strict";
document.documentElement.classList.add("scripted");

/* Tables: a click on a column's name sorts by it, a second one the other way round. */
const NUMBER = /[-+\u2212]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?/i;

function cellValue(row, column) {
  const text = row.cells[column].textContent.trim();
  const plain = text.replace(/[\u202f,]/g, "").replace("\u2212", "-");
  const found = row.cells[column].classList.contains("number") && plain.match(NUMBER);
  return found ? parseFloat(found[0]) : text;
}

function compareValues(one, two) {
  const oneIsNumber = typeof one === "number", twoIsNumber = typeof two === "number";
  if (oneIsNumber && twoIsNumber) return one - two;
  if (oneIsNumber !== twoIsNumber) return oneIsNumber ? -1 : 1;
  return one.localeCompare(two, "en", { numeric: true });
}

function makeSortable(table) {
  const names = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  if (body.rows.length < 2) return;
  names.forEach((name, column) => {
    if (!name.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...name.childNodes);
    name.append(button);
    button.addEventListener("click", () => {
      const descending = name.getAttribute("aria-sort") === "ascending";
      names.forEach((other) => other.removeAttribute("aria-sort"));
      name.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, two) => compareValues(cellValue(one, column), cellValue(two, column)));
      body.append(...(descending ? rows.reverse() : rows));
    });
  });
}

/* Thresholds: a curve, a slider, the readings at it, and the stamps on its two sides. */
const LEFT = 52, RIGHT = 505, TOP = 12, BOTTOM = 252;

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawAxes(svg, along, up, [across, upwards], logarithmic, least) {
  svg.append(element("path", { class: "axis", d: `M${LEFT} ${TOP}V${BOTTOM}H${RIGHT}` }));
  const ticks = [];
  if (logarithmic) for (let power = Math.ceil(Math.log10(least)); power <= 0; power++) ticks.push(10 ** power);
  else for (let step = 0; step <= 5; step++) ticks.push(step / 5);
  for (const tick of ticks) {
    svg.append(element("path", { class: "axis", d: `M${along(tick)} ${BOTTOM}v5` }));
    svg.append(element("text", { x: along(tick), y: BOTTOM + 19, "text-anchor": "middle" }, String(tick)));
  }
  for (let step = 0; step <= 5; step++) {
    svg.append(element("path", { class: "axis", d: `M${LEFT} ${up(step / 5)}h-5` }));
    svg.append(element("text", { x: LEFT - 9, y: up(step / 5) + 4, "text-anchor": "end" }, (step / 5).toFixed(1)));
  }
  svg.append(element("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 40, "text-anchor": "middle" }, across));
  const middle = (TOP + BOTTOM) / 2;
  const turned = { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` };
  svg.append(element("text", turned, upwards));
}

function formatReading(name, value, counts) {
  const share = value < 0.1 ? (100 * value).toPrecision(2) + " %" : value.toFixed(3);
  return counts[name] === undefined
    ? `${name} ${share}`
    : `${name} ${share} (${Math.round(value * counts[name]).toLocaleString("en")} of ${counts[name].toLocaleString("en")})`;
}

function connectThreshold(section) {
  const points = JSON.parse(section.dataset.points), start = parseFloat(section.dataset.start);
  const svg = section.querySelector("svg"), slider = section.querySelector("input");
  const output = section.querySelector("output"), names = Object.keys(points.readings);
  const [x, y] = names.slice(0, 2).map((name) => points.readings[name]);
  const least = Math.min(...x.filter((value) => value > 0), 1) / 2;
  const width = RIGHT - LEFT;
  const along = points.logarithmic
    ? (value) => LEFT + width * (1 - Math.log10(Math.max(value, least)) / Math.log10(least))
    : (value) => LEFT + width * value;
  const up = (value) => BOTTOM - (BOTTOM - TOP) * value;
  drawAxes(svg, along, up, names, points.logarithmic, least);
  const line = x.map((value, index) => `${index ? "L" : "M"}${along(value).toFixed(1)} ${up(y[index]).toFixed(1)}`);
  svg.append(element("path", { class: "curve", d: line.join("") }));
  const dot = element("circle", { class: "dot", r: 6 });
  svg.append(dot);
  const sides = [...section.querySelectorAll(".stamps")];
  const stamps = [...section.querySelectorAll(".stamp")];

  function moveTo(index) {
    const threshold = points.thresholds[index];
    slider.value = index;
    dot.setAttribute("cx", along(x[index]));
    dot.setAttribute("cy", up(y[index]));
    const readings = names.map((name) => formatReading(name, points.readings[name][index], points.counts));
    output.textContent = [`${points.quantity} ${threshold.toFixed(3)}`, ...readings].join(", ");
    slider.setAttribute("aria-valuetext", output.textContent);
    for (const stamp of stamps) {
      const side = sides.find((one) => (one.dataset.selected === "true") === parseFloat(stamp.dataset.score) >= threshold);
      if (stamp.parentNode !== side) side.append(stamp);
    }
  }

  slider.addEventListener("input", () => moveTo(parseInt(slider.value, 10)));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * 520;
    const distances = x.map((value) => Math.abs(along(value) - at));
    moveTo(distances.indexOf(Math.min(...distances)));
  });
  moveTo(Math.max(points.thresholds.findLastIndex((value) => value >= start - 1e-4), 0));
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll(".threshold").forEach(connectThreshold);
