/** The figures as a chart, one small panel each, drawn by Apache ECharts. */
import { type EChartsOption, init } from "echarts";
import type { Figure } from "./statistics.ts";

/** The panels: the beginning of a figure's name, and a title. */
const PANELS: readonly { figure: string; title: string }[] = [
  { figure: "`-v`", title: "-v, ms" },
  { figure: "ready", title: "ready, ms" },
  { figure: "RssAnon", title: "RssAnon, KiB" },
  { figure: "PSS", title: "PSS, each of many, KiB" },
  { figure: "processor time of PID 1", title: "processor time for 10,000 orphans, ms" },
  { figure: "lost of", title: "early SIGTERMs that are lost" },
];

const [COLUMNS, WIDTH, HEIGHT, LABELS, HEADING] = [3, 330, 190, 135, 36];

/** The bars of ours, and of all others. */
const [OURS, OTHERS] = ["#3178c6", "#8b949e"];

/** The appearances of a page that a chart is for: themes of ECharts. */
export const ALL_THEMES: string[] = ["light", "dark"];

/** Draws the SVG: medians as bars, ours in colour. Figures that were not measured have no panel. */
export function chart(figures: readonly Figure[], programs: readonly string[], theme: string): string {
  const panels = PANELS.flatMap(({ figure: name, ...panel }) => {
    const found = figures.findLast((figure) => figure.name.startsWith(name));
    return found ? [{ ...panel, values: found.values }] : [];
  });
  const left = (index: number) => (index % COLUMNS) * WIDTH;
  const top = (index: number) => Math.floor(index / COLUMNS) * HEIGHT;
  const option: EChartsOption = {
    animation: false,
    backgroundColor: "transparent",
    title: panels.map(({ title }, index) => ({
      text: title,
      left: left(index) + 8,
      top: top(index) + 6,
      textStyle: { fontSize: 13, fontWeight: "bold" },
    })),
    grid: panels.map((_, index) => ({
      left: left(index) + LABELS,
      top: top(index) + HEADING,
      width: WIDTH - LABELS - 60,
      height: HEIGHT - HEADING - 10,
    })),
    xAxis: panels.map((_, gridIndex) => ({ gridIndex, type: "value", show: false })),
    yAxis: panels.map((_, gridIndex) => ({
      gridIndex,
      type: "category",
      inverse: true,
      data: [...programs],
      axisTick: { show: false },
    })),
    series: panels.map(({ values }, index) => ({
      type: "bar",
      xAxisIndex: index,
      yAxisIndex: index,
      label: { show: true, position: "right" },
      data: programs.map((program, at) => {
        const median = values[program]?.median;
        const value = median === undefined ? "-" : Number(median.toPrecision(3));
        return { value, itemStyle: { color: at === 0 ? OURS : OTHERS } };
      }),
    })),
  };
  const size = { width: COLUMNS * WIDTH, height: Math.ceil(panels.length / COLUMNS) * HEIGHT };
  const canvas = init(null, theme, { renderer: "svg", ssr: true, ...size });
  try {
    canvas.setOption(option);
    return canvas.renderToSVGString();
  } finally {
    // Otherwise its timer keeps the process alive.
    canvas.dispose();
  }
}
