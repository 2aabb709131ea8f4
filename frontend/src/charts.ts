/**
 * Charts. The page gives an ECharts option as JSON, either at an address (`data-chart-src`) or in the page
 * (`data-chart-from="#id"` of a `<script type="application/json">`); looks are decided here, once for all.
 */
import { readJson } from "./page";

type Option = Record<string, unknown>;

interface Chart {
  setOption(option: Option): void;
  resize(): void;
  dispose(): void;
  showLoading(kind: string, style: Option): void;
  hideLoading(): void;
}

// The vendored file is loaded before this one and is a classic script.
declare const echarts: {
  init(node: HTMLElement, theme: Option, settings: { locale: string }): Chart;
  getInstanceByDom(node: HTMLElement): Chart | undefined;
};

const INK = "#1d2935";
const SOFT = "#566372";
const LINE = "#dfe4ea";
const chinese = document.documentElement.lang.startsWith("zh");

const axis = {
  axisLine: { lineStyle: { color: "#b8c2cc" } },
  axisTick: { show: false },
  axisLabel: { color: SOFT, hideOverlap: true },
  nameTextStyle: { color: SOFT },
  splitLine: { lineStyle: { color: LINE } },
};

/** Quiet colours that stay apart in grey print and for colour-blind readers. */
const theme: Option = {
  color: ["#1f5a85", "#d59a2f", "#4f8f77", "#a35a6f", "#7f93a6", "#6f5d9c", "#b4713d", "#2f9aa0"],
  textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: INK },
  title: { left: 0, top: 0, textStyle: { color: INK, fontSize: 15, fontWeight: 600 }, subtextStyle: { color: SOFT } },
  legend: { top: 0, left: "auto", right: 0, bottom: "auto", textStyle: { color: INK }, icon: "roundRect", itemWidth: 12, itemHeight: 8 },
  categoryAxis: { ...axis, splitLine: { show: false } },
  valueAxis: { ...axis, axisLine: { show: false } },
  timeAxis: { ...axis, splitLine: { show: false } },
  logAxis: axis,
  line: { symbolSize: 5, lineStyle: { width: 2 } },
  bar: { barMaxWidth: 36 },
};

/** Where the page says nothing: named for screen readers, and room at the edges for the words of the axes. */
function withDefaults(option: Option): Option {
  const tooltip = option.tooltip as Option | undefined;
  return {
    animationDuration: window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 300,
    ...("xAxis" in option ? { grid: { left: 12, right: 16, top: 40, bottom: 12, containLabel: true } } : {}),
    ...option,
    aria: { enabled: true, ...(option.aria as Option | undefined) },
    // Drawn on the canvas: an HTML tooltip carries style attributes, which the page's policy forbids.
    ...(tooltip ? { tooltip: { confine: true, ...tooltip, renderMode: "richText" } } : {}),
  };
}

const drawn = new Set<HTMLElement>();
const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) echarts.getInstanceByDom(target as HTMLElement)?.resize();
});

async function optionOf(node: HTMLElement): Promise<Option> {
  const { chartSrc, chartFrom } = node.dataset;
  if (!chartSrc) return readJson<Option>(chartFrom, {});
  const response = await fetch(chartSrc, { headers: { Accept: "application/json" }, credentials: "same-origin" });
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()) as Option;
}

async function draw(node: HTMLElement): Promise<void> {
  drawn.add(node);
  const chart = echarts.init(node, theme, { locale: chinese ? "ZH" : "EN" });
  sizes.observe(node);
  if (node.dataset.chartSrc) chart.showLoading("default", { text: "", color: "#1f5a85", maskColor: "rgba(255,255,255,.6)" });
  try {
    chart.setOption(withDefaults(await optionOf(node)));
    chart.hideLoading();
  } catch {
    forget(node);
    const note = document.createElement("p");
    note.className = "chart-note";
    note.textContent =
      readJson<Record<string, string>>("#app-texts", {}).chart_failed ??
      "This chart could not be loaded. Please reload the page.";
    node.replaceChildren(note);
  }
}

function forget(node: HTMLElement): void {
  sizes.unobserve(node);
  echarts.getInstanceByDom(node)?.dispose();
  drawn.delete(node);
}

function refresh(): void {
  for (const node of drawn) if (!node.isConnected) forget(node);
  for (const node of document.querySelectorAll<HTMLElement>("[data-chart-src], [data-chart-from]")) {
    if (!drawn.has(node)) void draw(node);
  }
}

refresh();
document.addEventListener("htmx:afterSettle", refresh);
