import type { Config } from '../core/config/config.ts';
import { firstSvid } from '../core/identity/first-svid.ts';
import { openSvidSource } from '../core/identity/svid-settings.ts';
import type { Svid, SvidSource } from '../core/identity/svid.ts';
import type { Ports } from '../core/runtime/ports.ts';
import { after } from '../core/runtime/timers.ts';
import type { Faults } from '../core/telemetry/faults.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { Closers } from './closers.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';
import type { State } from './state/state.ts';
import type { Waits } from './waits.ts';
import { NoSvid } from './keys/no-svid.ts';
import { followOwnSvid } from './keys/own-svid.ts';

/** How long to wait for an SVID before this is logged. */
const SVID_LOOK_MS = 2_000;

/** Begins to open the source of this process's SVID, without waiting; `null` if the configuration has none. It may reject. */
export function beginSvid(
  { svid }: Pick<Config, 'svid'>,
  {
    ports,
    log,
    faults,
    closers,
    noSvid = null,
  }: {
    readonly ports: Ports;
    readonly log: Log;
    readonly faults: Faults;
    readonly closers: Closers;
    readonly noSvid?: string | null | undefined;
  },
): Promise<SvidSource> | null {
  if (svid === null) return null;
  if (noSvid !== null) return Promise.resolve(new NoSvid(noSvid));
  const opening = openSvidSource(svid, {
    ports,
    after,
    onProblem: (problem) => faults.set('svid', problem),
    onRefused: ({ cause, problem }) => log(`svid: not taken over: ${problem}`, 'svid-refused', { cause }),
  });
  // Awaited by the caller, later.
  opening.catch(() => undefined);
  closers.push(async () => (await opening.catch(() => null))?.close());
  return opening;
}

/** Waits for the first SVID if a role cannot start without it: a role that shows it to clients that connect. */
export async function awaitNeededSvid(
  opening: Promise<SvidSource> | null,
  config: Config,
  { waits, stop }: { readonly waits: Waits; readonly stop: AbortSignal | undefined },
): Promise<StartProblem | null> {
  if (opening === null || stop === undefined || !needsSvid(config)) return null;
  const source = await opening;
  const first = await waits.until(() => svidOf(source));
  return isStartProblem(first) ? first : null;
}

/**
 * Follows an open source: logs its problems and each new SVID, with which a sidecar connects to its authority anew.
 *
 * @returns why the process must not serve with the current SVID; `null` if it may
 */
export function followSvid(
  svid: SvidSource | null,
  {
    config,
    log,
    sidecar,
    closers,
  }: { readonly config: Config; readonly log: Log; readonly sidecar: State['sidecar']; readonly closers: Closers },
): StartProblem | null {
  if (sidecar !== null) closers.push(svid?.onChange(() => sidecar.renewed()) ?? (() => undefined));
  const unfit = followOwnSvid(svid, { config, log });
  if (unfit !== null) return { problem: unfit };
  const onRenewed = ({ id, notAfterMs }: Svid): void => {
    const until = new Date(notAfterMs).toISOString();
    log(`svid: \`${id}\` is valid until ${until}`, 'svid-renewed', { id, until });
  };
  closers.push(svid?.onChange(onRenewed) ?? (() => undefined));
  return null;
}

const needsSvid = ({ authority: { listen }, extAuthz: { callers }, issuer }: Config): boolean =>
  issuer !== null || callers.length > 0 || listen.some(({ kind }) => kind === 'tcp');

async function svidOf(source: SvidSource): Promise<Svid | StartProblem> {
  const own = await firstSvid(source, { withinMs: SVID_LOOK_MS, after });
  return isStartProblem(own) ? { problem: `this process has no SVID: ${own.problem}`, mayPass: true } : own;
}
