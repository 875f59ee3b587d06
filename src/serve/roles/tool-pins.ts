import { readFile } from 'node:fs/promises';
import { askedTools, type AskedWith } from '../../authority/issuer/pins/ask-server.ts';
import { watchPins } from '../../authority/issuer/pins/watch-pins.ts';
import type { IssuerConfig } from '../../core/config/issuer.ts';
import type { PinnedServerConfig, ToolPinsConfig } from '../../core/config/tool-pins.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { type SvidSource, tlsMaterialOf } from '../../core/identity/svid.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { after } from '../../core/runtime/timers.ts';
import { awaitedSvid } from '../keys/own-svid.ts';
import type { Parts } from '../parts.ts';
import { isStartProblem } from '../start-problem.ts';

/** Looks at the tools of the servers that the configuration names; the returned function ends it. */
export function watchToolPins(
  { metrics, policies, ports, log }: Pick<Parts, 'metrics' | 'policies' | 'ports' | 'log'>,
  { toolPins }: IssuerConfig,
  { svid, authority }: { readonly svid: SvidSource; readonly authority: NonNullable<Parts['authority']> },
): () => unknown {
  if (toolPins === null) return () => undefined;
  const { everySeconds, servers } = toolPins;
  const places = new Map(servers.map((place) => [place.server, place]));
  return watchPins({
    servers: [...places.keys()],
    everyMs: everySeconds * 1_000,
    catalog: () => {
      const set = policies.get();
      return isDeny(set) ? null : set.catalog;
    },
    list: async (server) => {
      const place = places.get(server);
      return place === undefined
        ? { problem: 'it is not configured', isAnswered: false }
        : askedTools(place, () => askedBy(svid, place));
    },
    authority,
    randomBytes: ports.randomBytes,
    after,
    onListed: measuredLists({ metrics, ports }, toolPins),
    log,
  });
}

/** How much longer than `everySeconds` a pause may be. */
const LONGEST_PAUSE = 1.1;

/** Measures by how many seconds the list of each server is overdue. The returned function takes each server whose tools were listed. */
export function measuredLists(
  {
    metrics,
    ports,
  }: {
    readonly metrics: Pick<Parts['metrics'], 'beforeScrape' | 'toolPinsOverdue'>;
    readonly ports: Pick<Parts['ports'], 'nowMs'>;
  },
  { everySeconds, servers }: ToolPinsConfig,
): (server: string) => void {
  const listedAtMs = new Map(servers.map(({ server }): [string, number] => [server, ports.nowMs()]));
  metrics.beforeScrape(() => {
    for (const [server, atMs] of listedAtMs) {
      const overdue = (ports.nowMs() - atMs) / 1_000 - LONGEST_PAUSE * everySeconds;
      metrics.toolPinsOverdue.of({ server }).set(Math.max(0, overdue));
    }
  });
  return (server) => void listedAtMs.set(server, ports.nowMs());
}

/** The own certificate and key, and the CA certificates that verify a server; a problem without an SVID or its CA file. */
async function askedBy(svid: SvidSource, { ca }: PinnedServerConfig): Promise<AskedWith | Problem> {
  const own = await awaitedSvid(svid);
  if (isStartProblem(own)) return { problem: `this process has no SVID: ${own.problem}` };
  const { certificate: cert, key, bundle } = tlsMaterialOf(own);
  if (ca === 'system') return { cert, key };
  if (ca === 'bundle') return { cert, key, ca: bundle };
  try {
    return { cert, key, ca: await readFile(ca, 'utf8') };
  } catch (error) {
    return { problem: `the CA file \`${ca}\` cannot be read: ${errorCode(error) ?? 'unknown error'}` };
  }
}
