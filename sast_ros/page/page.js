// Copyright 2026 sast_ros maintainers
// SPDX-License-Identifier: Apache-2.0
'use strict';

const SPAN_S = 120;  // of the charts, with a sample a second
const GAP_S = 5;  // without a sample: nothing is known of what was between
const RETRY_MS = 1000;
const SENDS_PER_SECOND = 10;  // while a slider is moved
const RATE_MS = 2000;  // over which pictures are counted

// Series are functions of a sample; see sast_ros/ros/page_node.py.
const CHARTS = [
  { title: 'Event rate', unit: 'Mev/s', digits: 3, series: { events: (s) => s.rate } },
  { title: 'Latency', unit: 'ms', digits: 0, series: { median: (s) => s.p50, p99: (s) => s.p99 } },
  {
    title: 'Kept tokens', unit: '%', digits: 0, top: 100,
    series: Object.fromEntries([0, 1, 2, 3].map((i) => [`stage ${i + 1}`, (s) => s.tokens[i]])),
  },
  { title: 'Windows and messages lost', unit: '/s', digits: 0, series: { lost: (s) => s.drops } },
];

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const canvas = one('#picture');
const brush = canvas.getContext('2d', { alpha: false });
const samples = [];
const times = [];  // of the pictures of the last moments, milliseconds
const page = { socket: null, pictures: 0, settings: {} };

// ------------------------------------------------------------------------------------- connection

function connect() {
  if (page.socket || document.hidden) return;
  const address = new URL(`stream${location.search}`, location.href);
  address.protocol = 'ws:';
  const socket = new WebSocket(address);
  page.socket = socket;
  socket.binaryType = 'blob';
  socket.onmessage = ({ data }) => (
    typeof data === 'string' ? showState(JSON.parse(data)) : showPicture(socket, data)
  );
  socket.onclose = () => {
    if (page.socket !== socket) return;
    page.socket = null;
    showStatus('stale', 'not connected; trying again');
    setTimeout(connect, RETRY_MS);
  };
}

// The node draws nothing for a page that nobody sees.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) connect();
  else if (page.socket) {
    const socket = page.socket;
    page.socket = null;
    socket.close();
  }
});

function send(content) {
  if (page.socket && page.socket.readyState === WebSocket.OPEN) {
    page.socket.send(JSON.stringify(content));
  }
}

async function showPicture(socket, blob) {
  try {
    const picture = await createImageBitmap(blob);
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    // Enlarged pixels stay sharp, reduced ones are averaged
    canvas.style.imageRendering = canvas.clientWidth > canvas.width ? 'pixelated' : 'auto';
    one('#size').textContent = `${picture.width} x ${picture.height} pixels`;
    brush.drawImage(picture, 0, 0);
    picture.close();
    page.pictures += 1;
    countPicture();
  } finally {
    if (socket.readyState === WebSocket.OPEN) socket.send('"drawn"');
  }
}

function countPicture() {
  const now = performance.now();
  times.push(now);
  forgetPictures();
  if (times.length > 1) {
    const rate = 1000 * (times.length - 1) / (now - times[0]);
    one('#fps').textContent = `${rate.toFixed(0)} pictures/s`;
  }
}

// A picture that stands still is not shown with the rate of before.
function forgetPictures() {
  while (times[0] < performance.now() - RATE_MS) times.shift();
  if (page.pictures && !times.length) one('#fps').textContent = '0 pictures/s';
}

// ------------------------------------------------------------------------------------------ state

function showState(state) {
  if (state.topic !== undefined) one('#topic').textContent = state.topic;
  if (state.message !== undefined) showStatus(state.level, state.message);
  if (state.settings !== undefined) {
    page.settings = state.settings;
    showSettings();
  }
  if (state.notice !== undefined) one('#notice').textContent = state.notice;
  if (state.sample) {
    const at = Date.now() / 1000;
    samples.push({ at, ...state.sample });
    while (samples[0].at < at - SPAN_S) samples.shift();
    drawCharts();
  }
}

function showStatus(level, message) {
  const status = one('#status');
  status.dataset.level = level;
  status.textContent = message;
}

// --------------------------------------------------------------------------------------- settings

function showSettings() {
  const mode = page.settings['sparsity.mode'];
  for (const row of all('[data-setting]')) {
    const value = page.settings[row.dataset.setting];
    const input = one('input, select', row);
    row.hidden = value === undefined || !(row.dataset.mode || mode || '').includes(mode || '');
    if (row.hidden || input === page.moved) continue;
    if (input.type === 'checkbox') input.checked = value.includes(row.dataset.layer);
    else input.value = input.dataset.scale === 'log' ? Math.log10(value) : value;
    showValue(row, value);
  }
}

function showValue(row, value) {
  const output = one('output', row);
  if (!output || typeof value !== 'number') return;
  const scaled = one('input', row).dataset.scale === 'log';
  output.value = (scaled ? Number(value.toPrecision(2)) : value.toFixed(2)) + (output.dataset.unit || '');
}

function valueOf(row) {
  const input = one('input, select', row);
  if (input.type === 'checkbox') {
    const others = page.settings[row.dataset.setting].filter(
      (name) => name && name !== row.dataset.layer,
    );
    if (input.checked) others.push(row.dataset.layer);
    return others.length ? others : [''];  // a list without elements has no type in ROS
  }
  if (input.type !== 'range') return input.value;
  return input.dataset.scale === 'log' ? 10 ** input.valueAsNumber : input.valueAsNumber;
}

function addSetting(row) {
  const input = one('input, select', row);
  let last = 0;
  let timer = 0;
  const submit = () => {
    clearTimeout(timer);
    timer = 0;
    last = performance.now();
    one('#notice').textContent = '';
    send({ name: row.dataset.setting, value: valueOf(row) });
  };
  input.addEventListener('input', () => {
    if (input.type === 'range') page.moved = input;
    showValue(row, valueOf(row));
    const wait = 1000 / SENDS_PER_SECOND - (performance.now() - last);
    if (wait <= 0) submit();
    else if (!timer) timer = setTimeout(submit, wait);
  });
  // The node's own value is shown again as soon as the hand is off the slider.
  input.addEventListener('change', () => {
    page.moved = null;
    if (timer) submit();
  });
}

// ----------------------------------------------------------------------------------------- charts

function addChart(chart) {
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  const title = document.createElement('span');
  title.textContent = `${chart.title} (${chart.unit})`;
  chart.value = document.createElement('b');
  caption.append(title, chart.value);
  chart.canvas = document.createElement('canvas');
  chart.canvas.setAttribute('role', 'img');
  figure.append(caption, chart.canvas);
  const names = Object.keys(chart.series);
  if (names.length > 1) {
    const legend = document.createElement('div');
    legend.className = 'legend';
    names.forEach((name, index) => {
      const entry = document.createElement('span');
      entry.className = `series-${index + 1}`;
      entry.textContent = name;
      legend.append(entry);
    });
    figure.append(legend);
  }
  one('.charts').append(figure);
}

function drawCharts() {
  const style = getComputedStyle(document.documentElement);
  for (const chart of CHARTS) drawChart(chart, style);
}

// The next number of the kind 1, 2, 5, 10, ...
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((limit) => value <= limit * 1.0001);
}

function drawChart(chart, style) {
  const { canvas: area, digits } = chart;
  const [wide, high] = [area.clientWidth, area.clientHeight];
  const scale = devicePixelRatio || 1;
  area.width = Math.round(wide * scale);
  area.height = Math.round(high * scale);
  const pen = area.getContext('2d');
  pen.scale(scale, scale);
  const lines = Object.values(chart.series).map(
    (series) => samples.map((sample) => series(sample) ?? NaN),
  );
  const largest = Math.max(0, ...lines.flat().filter(Number.isFinite));
  const top = chart.top || roundUp(Math.max(largest, 10 ** -digits));
  const marks = [0, top / 2, top];
  const text = (value) => String(Number(value.toPrecision(3)));
  pen.font = '11px system-ui, sans-serif';
  pen.textAlign = 'right';
  pen.textBaseline = 'middle';
  const left = Math.max(34, ...marks.map((value) => Math.ceil(pen.measureText(text(value)).width) + 6));
  const end = samples.length ? samples.at(-1).at : 0;
  const x = (index) => left + (wide - left - 3) * (1 - (end - samples[index].at) / SPAN_S);
  const y = (value) => high - 6 - (high - 14) * value / top;
  for (const value of marks) {
    pen.strokeStyle = style.getPropertyValue('--line');
    pen.beginPath();
    pen.moveTo(left, y(value));
    pen.lineTo(wide, y(value));
    pen.stroke();
    pen.fillStyle = style.getPropertyValue('--soft');
    pen.fillText(text(value), left - 5, y(value));
  }
  pen.lineWidth = 1.8;
  pen.lineJoin = 'round';
  lines.forEach((values, series) => {
    pen.strokeStyle = style.getPropertyValue(`--series-${series + 1}`);
    pen.beginPath();
    values.forEach((value, index) => {
      const known = Number.isFinite(value) && Number.isFinite(values[index - 1])
        && samples[index].at - samples[index - 1].at < GAP_S;
      if (known) pen.lineTo(x(index), y(value));
      else if (Number.isFinite(value)) pen.moveTo(x(index), y(value));
    });
    pen.stroke();
  });
  const last = lines.map((values) => values.at(-1)).filter(Number.isFinite);
  chart.value.textContent = last.map((value) => value.toFixed(digits)).join(' / ');
  area.setAttribute('aria-label', `${chart.title}: ${chart.value.textContent} ${chart.unit}`);
}

all('[data-setting]').forEach((row) => { row.hidden = true; addSetting(row); });
CHARTS.forEach(addChart);
addEventListener('resize', drawCharts);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawCharts);
setInterval(forgetPictures, RATE_MS / 2);
connect();
