import { table } from '../../bench/table.ts';
import type { ContentionFigure } from './contention.ts';
import type { IdleFigure } from './idle.ts';
import type { LoadFigure } from './loads.ts';
import type { NodeFigure } from './node-mode.ts';
import type { StartFigure } from './starts.ts';

/** All that was measured. */
export interface Figures {
  readonly cores: number;
  /** Of the whole machine over the last minute, after each section: with more than `cores`, other programs waited too. */
  readonly loads: Record<string, number>;
  starts?: readonly StartFigure[];
  load?: readonly LoadFigure[];
  idle?: IdleFigure;
  contention?: readonly ContentionFigure[];
  node?: NodeFigure;
}

const whole = (value: number): string => value.toFixed(0);
const tenth = (value: number): string => value.toFixed(1);

/** Tables of Markdown. */
export function tablesOf({ contention, cores, idle, load, loads, node, starts }: Figures): string {
  const parts = [
    `${cores} cores; load average of the machine: ${Object.entries(loads)
      .map(([section, value]) => `${section} ${tenth(value)}`)
      .join(', ')}\n`,
  ];
  if (load !== undefined)
    parts.push(
      table(
        [
          'calls/s asked',
          'reached',
          'role',
          'working set, MiB',
          'CPU, m',
          'CPU a call, us',
          'check p50, p99 within, ms',
          'not 200',
        ],
        load.flatMap((one) =>
          (['sidecar', 'authority'] as const).map((role) => [
            whole(one.asked),
            whole(one.reached),
            role,
            whole(one[role].workingSetMiB),
            whole(one[role].milliCores),
            whole(one[role].microsecondsACall),
            role === 'sidecar' ? `${one.checkP50Ms}, ${one.checkP99Ms}` : '',
            role === 'sidecar' ? JSON.stringify(one.notAllowed) : '',
          ]),
        ),
      ),
    );
  if (idle !== undefined) {
    const { authority, cpuSecondsAMinute, sidecars, workingSetMiB } = idle;
    parts.push(
      table(
        ['idle', 'working set, MiB', 'CPU s a minute'],
        [
          [`each of ${sidecars} sidecars, median`, whole(workingSetMiB.median), cpuSecondsAMinute.median.toFixed(2)],
          ['the one that took most', whole(workingSetMiB.most), cpuSecondsAMinute.most.toFixed(2)],
          ...authority.map((one) => [
            `authority with ${one.followers} followers`,
            whole(one.workingSetMiB),
            one.cpuSecondsAMinute.toFixed(2),
          ]),
        ],
      ),
    );
  }
  const allStarts = [...(starts ?? []), ...(node === undefined ? [] : [node.start])];
  if (allStarts.length > 0)
    parts.push(
      table(
        ['start, median', 'rounds', 'pod created to ready, s', 'CPU s'],
        allStarts.map((one) => [one.what, whole(one.rounds), tenth(one.readySeconds), one.cpuSeconds.toFixed(2)]),
      ),
    );
  if (node !== undefined)
    parts.push(
      table(
        ['node mode, calls/s asked', 'working set, MiB', 'CPU, m'],
        [
          ['0', whole(node.idle.workingSetMiB), whole(node.idle.milliCores)],
          [whole(node.asked), whole(node.loaded.workingSetMiB), whole(node.loaded.milliCores)],
        ],
      ),
    );
  if (contention !== undefined)
    parts.push(
      table(
        [
          'request, beside hogs',
          'ready after, s',
          'least lease of 15 s',
          'looks without lease',
          'cores that all pods got',
        ],
        contention.map((one) => [
          one.request,
          one.startSeconds === null ? 'not in 180' : tenth(one.startSeconds),
          tenth(one.leastLeaseSeconds),
          `${one.withoutLease} of ${one.looks}`,
          one.podCores.toFixed(2),
        ]),
      ),
    );
  return parts.join('\n');
}
