/** A change of a text file as a unified diff, which `git apply` and `patch -p1` take. */

/** Lines around a change. */
const CONTEXT = 3;

type Line = readonly [sign: ' ' | '-' | '+', text: string];

/** The diff of two texts of a file; empty if they are equal. Meant for small files: it compares each changed line with each other. */
export function unifiedDiff(name: string, before: string, after: string): string {
  if (before === after) return '';
  const lines = comparedLines(linesOf(before), linesOf(after));
  return [`--- a/${name}`, `+++ b/${name}`, ...hunksOf(lines).flatMap((hunk) => hunkLines(lines, hunk))].join('\n');
}

/** With a line end in each but possibly the last, so that a missing line end is a difference. */
const linesOf = (text: string): readonly string[] => {
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  return [...lines.map((line) => `${line}\n`), ...(last === '' ? [] : [last])];
};

function comparedLines(before: readonly string[], after: readonly string[]): readonly Line[] {
  let head = 0;
  while (head < before.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(before.length, after.length) - head && before.at(-1 - tail) === after.at(-1 - tail)) tail += 1;
  const [old, fresh] = [before, after].map((lines) => lines.slice(head, lines.length - tail));
  return [
    ...before.slice(0, head).map((text): Line => [' ', text]),
    ...changedLines(old ?? [], fresh ?? []),
    ...before.slice(before.length - tail).map((text): Line => [' ', text]),
  ];
}

/** By the longest common subsequence. */
function changedLines(before: readonly string[], after: readonly string[]): readonly Line[] {
  const common = before.map(() => new Uint32Array(after.length + 1));
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  for (let i = before.length - 1; i >= 0; i -= 1)
    for (let j = after.length - 1; j >= 0; j -= 1) {
      const row = common[i];
      if (row !== undefined)
        row[j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [old, fresh] = [before[i], after[j]];
    if (old !== undefined && old === fresh) {
      lines.push([' ', old]);
      i += 1;
      j += 1;
    } else if (old !== undefined && (fresh === undefined || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(['-', old]);
      i += 1;
    } else {
      lines.push(['+', fresh ?? '']);
      j += 1;
    }
  }
  return lines;
}

/** A range of compared lines; the end is exclusive. */
type Hunk = readonly [start: number, end: number];

function hunksOf(lines: readonly Line[]): readonly Hunk[] {
  const hunks: Hunk[] = [];
  for (const [index, [sign]] of lines.entries()) {
    if (sign === ' ') continue;
    const [start, end] = [Math.max(0, index - CONTEXT), Math.min(lines.length, index + CONTEXT + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && last[1] >= start) hunks.splice(-1, 1, [last[0], end]);
    else hunks.push([start, end]);
  }
  return hunks;
}

function hunkLines(lines: readonly Line[], [start, end]: Hunk): readonly string[] {
  const shown = lines.slice(start, end);
  const [old, fresh] = (['-', '+'] as const).map((sign) => {
    const has = ([one]: Line): boolean => one === ' ' || one === sign;
    const [before, count] = [lines.slice(0, start).filter(has).length, shown.filter(has).length];
    return `${sign}${count === 0 ? before : before + 1},${count}`;
  });
  return [
    `@@ ${old} ${fresh} @@`,
    ...shown.flatMap(([sign, text]) =>
      text.endsWith('\n')
        ? [`${sign}${text.slice(0, -1)}`]
        : [`${sign}${text}`, String.raw`\ No newline at end of file`],
    ),
  ];
}
