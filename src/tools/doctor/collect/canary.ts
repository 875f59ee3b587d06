import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import type { Collected } from '../facts.ts';
import type { AdminAddress } from './admin-address.ts';

/** A canary call to make. */
export interface CanaryCall {
  readonly url: URL;
  /** Host and port to connect to instead of those of the URL; `null` for those. */
  readonly connectTo: string | null;
  /** Files of a client certificate, its key, and the trust anchors, PEM. */
  readonly files: { readonly cert: string | null; readonly key: string | null; readonly ca: string | null };
  /** Remit's admin interface. */
  readonly remit: AdminAddress;
}

/** The header that marks the call in logs of Envoy and of the upstream. */
const CANARY_HEADER = 'x-remit-canary';
const TIMEOUT_MS = 10_000;
const MAX_METRICS_BYTES = 16_777_216;
/** Time for a counter to show the call. */
const COUNTED_WITHIN_MS = 2_000;
const POLL_MS = 100;

/** Makes a marked call without a token, and reads Remit's counters before and after it. */
export async function collectCanary(call: CanaryCall, { randomBytes }: Pick<Ports, 'randomBytes'>): Promise<Collected> {
  const before = await checksOf(call.remit);
  const url = `${call.url.origin}${call.url.pathname}`;
  const answer = await fired(call, Buffer.from(randomBytes(16)).toString('hex'));
  if (isProblem(answer))
    return {
      facts: {},
      examined: [],
      unread: [`the canary call \`${url}\` got no answer: ${answer.problem}`],
      parts: [],
    };
  const checks = before === null ? null : await risen(call.remit, before);
  return {
    facts: { canary: { url, ...answer, checks } },
    examined: [`a call of ${url}: ${answer.status}`],
    unread: [],
    parts: [],
  };
}

async function fired(
  { connectTo, files, url }: CanaryCall,
  mark: string,
): Promise<{ readonly status: number; readonly decision: string } | Problem> {
  const target = new URL(url);
  if (connectTo !== null) target.host = connectTo;
  try {
    const { headers, status } = await httpExchange(target, {
      headers: { host: url.host, [CANARY_HEADER]: mark },
      maxBytes: 0,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      tls: {
        // RFC 6066: an address is no server name.
        ...(isIP(url.hostname) === 0 ? { servername: url.hostname } : {}),
        checkServerIdentity: (_name, certificate) => checkServerIdentity(url.hostname, certificate),
        ...pemOf('cert', files.cert),
        ...pemOf('key', files.key),
        ...pemOf('ca', files.ca),
      },
    });
    const decision = headers['x-remit-decision'];
    return { status, decision: typeof decision === 'string' ? decision.slice(0, 200) : '' };
  } catch (error) {
    return { problem: failureWords(error) };
  }
}

const pemOf = (name: 'cert' | 'key' | 'ca', file: string | null): Partial<Record<'cert' | 'key' | 'ca', Buffer>> =>
  file === null ? {} : { [name]: readFileSync(file) };

async function risen(remit: AdminAddress, before: number): Promise<number | null> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const after = await checksOf(remit);
    if (after === null) return null;
    if (after !== before || waitedMs >= COUNTED_WITHIN_MS) return after - before;
    await delay(POLL_MS);
  }
}

// oxlint-disable-next-line remit/linear-expression -- our own metrics, in short lines
const COUNTERS = /^remit_(?:decisions|server_refusals)_total(?:\{.*\})? (\d+(?:\.\d+)?(?:e\+\d+)?)$/gm;

/** Checks that Remit has answered or refused; `null` if it could not be asked. */
async function checksOf({ socketPath, url }: AdminAddress): Promise<number | null> {
  try {
    const { body, status } = await httpExchange(new URL('/metrics', url), {
      maxBytes: MAX_METRICS_BYTES,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(socketPath === null ? {} : { socketPath }),
    });
    if (status !== 200) return null;
    return [...body.toString('utf8').matchAll(COUNTERS)].reduce((sum, [, value]) => sum + Number(value), 0);
  } catch {
    return null;
  }
}
