import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { printable } from '../../core/ledger/timeline-text.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { findEnvoy, isBinaryProblem } from '../../dev/envoy-binary.ts';
import { ObservedHost } from '../../dev/observe/observed-host.ts';
import { isWhole, playObserveStory, SIX_COMMANDS } from '../../dev/observe/observe-story.ts';
import type { ObserveStory, ShownStep } from '../../dev/observe/observe-story.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { cacheFolderOf } from './domain.ts';

/**
 * `remit demo --observe`: plays how Remit is brought in, in a temporary folder that is removed afterwards.
 *
 * @returns 0 if every step was as it should be, 1 if a step was not or a signal interrupted it, 2 if it could not be started
 */
export async function playObserved(io: CommandIo): Promise<number> {
  const envoy = await findEnvoy({
    explicit: io.environment['ENVOY_BIN'] ?? null,
    path: io.environment['PATH'] ?? '',
    cacheFolder: cacheFolderOf(io),
    progress: io.err,
  });
  if (isBinaryProblem(envoy)) {
    io.err(`remit demo: ${envoy.problem}`);
    return EXIT.bad;
  }
  if (envoy.warning !== null) io.err(envoy.warning);
  const interrupted = new AbortController();
  const ended = io.ended().then(() => interrupted.abort());
  const folder = await mkdtemp(join(tmpdir(), 'remit-dev-'));
  try {
    const host = await ObservedHost.open({
      folder,
      envoy: envoy.path,
      remit: io.command,
      environment: io.environment,
      ports: systemPorts,
      signal: interrupted.signal,
    });
    try {
      return await Promise.race([play(io, host), ended.then(() => EXIT.no)]);
    } finally {
      await host.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function play(io: CommandIo, host: ObservedHost): Promise<number> {
  let count = 0;
  const story = await playObserveStory(host, (step) => {
    count += 1;
    for (const line of stepLines(count, step)) io.out(printable(line));
  });
  io.out(lastLine(story));
  return isWhole(story) ? EXIT.good : EXIT.no;
}

const stepLines = (number: number, { title, lines, problem }: ShownStep): readonly string[] => [
  `${String(number).padStart(2)}. ${title}`,
  ...lines.map((line) => `      ${line}`),
  ...(problem === null ? [] : [`      NOT AS EXPECTED: ${problem}`]),
];

function lastLine(story: ObserveStory): string {
  const { steps, observedCalls, enforcedCalls, denied } = story;
  const asExpected = steps.filter(({ problem }) => problem === null).length;
  if (!isWhole(story)) return `demo: ${asExpected} steps as expected, then a step was not`;
  return (
    `demo: ${asExpected} of ${steps.length} steps as expected: from nothing to enforced in ${SIX_COMMANDS.length} commands; ` +
    `${observedCalls} calls observed, none blocked; ${enforcedCalls} calls allowed by what was learnt; ${denied.length} off-task calls denied`
  );
}
