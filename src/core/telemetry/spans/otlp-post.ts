import { failureCode, httpExchange } from '../../runtime/system/http-exchange.ts';

/** The answer of a collector to a request: taken, or why not. */
export type Posted = { readonly kind: 'taken' } | { readonly kind: 'refused'; readonly detail: string };

/** The URL, headers and timing of a post. */
export interface PostOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** The pause before a retry. */
  readonly sleep: (ms: number) => Promise<unknown>;
}

const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
const TIMEOUT_MS = 10_000;
/** Most bytes read of an answer. */
const MAX_ANSWER = 4_096;

/** Retryable status codes. @see OTLP specification 1.7, retryable response codes */
const AGAIN: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * Posts one OTLP request in JSON. Up to five attempts with exponential back-off from 1 s, or as long as `retry-after` says, up
 * to 30 s. A partial success is a refusal.
 */
export async function postOtlp(body: string, { url, headers, sleep }: PostOptions): Promise<Posted> {
  let detail = '';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const answer = await answerTo(body, { url, headers });
    if (answer.kind !== 'again') return answer;
    ({ detail } = answer);
    const pauseMs = answer.pauseMs ?? FIRST_PAUSE_MS * 2 ** (attempt - 1);
    if (attempt < ATTEMPTS) await sleep(Math.min(pauseMs, MAX_PAUSE_MS));
  }
  return { kind: 'refused', detail: `${detail}, ${ATTEMPTS} times` };
}

type Answer = Posted | { readonly kind: 'again'; readonly detail: string; readonly pauseMs: number | null };

async function answerTo(body: string, { url, headers }: Pick<PostOptions, 'url' | 'headers'>): Promise<Answer> {
  try {
    const { status, ...answer } = await httpExchange(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
      maxBytes: MAX_ANSWER,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (status >= 200 && status < 300) return rejectedIn(answer.body.toString('utf8'));
    const detail = `it answered ${status}`;
    if (!AGAIN.has(status)) return { kind: 'refused', detail };
    const seconds = /^\d{1,5}$/.exec(answer.headers['retry-after'] ?? '')?.[0];
    return { kind: 'again', detail, pauseMs: seconds === undefined ? null : Number(seconds) * 1_000 };
  } catch (error) {
    return { kind: 'again', detail: `it cannot be reached (${failureCode(error)})`, pauseMs: null };
  }
}

/** @see OTLP specification 1.7, partial success */
function rejectedIn(text: string): Posted {
  const count = /"rejectedLogRecords"\s*:\s*"?(\d{1,18})"?/.exec(text)?.[1];
  if (count === undefined || Number(count) === 0) return { kind: 'taken' };
  return { kind: 'refused', detail: `it rejected ${count} log records of a request` };
}

/**
 * Parses `OTEL_EXPORTER_OTLP_LOGS_HEADERS`, or else `OTEL_EXPORTER_OTLP_HEADERS`: comma-separated `name=value` with
 * percent-encoded values. Invalid entries are skipped.
 */
export function otlpHeaders(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const text = environment['OTEL_EXPORTER_OTLP_LOGS_HEADERS'] ?? environment['OTEL_EXPORTER_OTLP_HEADERS'] ?? '';
  const pairs = text.split(',').flatMap((pair) => {
    const [, name, value] = /^([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=([^\r\n]*)$/.exec(pair.trim()) ?? [];
    if (name === undefined || value === undefined) return [];
    try {
      return [[name, decodeURIComponent(value.trim())] as const];
    } catch {
      return [];
    }
  });
  return Object.fromEntries(pairs);
}
