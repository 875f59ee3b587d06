import { readFile } from 'node:fs/promises';
import { httpExchange } from '../../core/runtime/system/http-exchange.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { integer, members, text } from '../../core/runtime/fields.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';

/** The token of the enclosing run, as far as known. */
export interface OuterToken {
  /** The token itself. A secret. */
  readonly token: string;
  /** Seconds until it expires; `null` if only the token is known. */
  readonly expiresIn: number | null;
}

const TIMEOUT_MS = 15_000;
const MAX_BYTES = 65_536;

/** Whether `remit run` made this environment. */
export const isInsideRun = (environment: Readonly<Record<string, string | undefined>>): boolean =>
  [environment['REMIT_TOKEN_URL'], environment['REMIT_TOKEN_FILE'], environment['REMIT_TOKEN']].some(Boolean);

/** The current token of the enclosing run, from its endpoint, file or variable. */
export async function outerToken(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<OuterToken | Problem> {
  const {
    REMIT_TOKEN_URL: url,
    REMIT_TOKEN_URL_AUTH: bearer = '',
    REMIT_TOKEN_FILE: file,
    REMIT_TOKEN = '',
  } = environment;
  if (url !== undefined) return fromEndpoint(url, bearer);
  if (file === undefined) return { token: REMIT_TOKEN, expiresIn: null };
  return readFile(file, 'utf8').then(
    (token) => ({ token, expiresIn: null }),
    (error: NodeJS.ErrnoException) => ({ problem: `\`${file}\` cannot be read: ${error.code ?? 'unknown error'}` }),
  );
}

async function fromEndpoint(url: string, bearer: string): Promise<OuterToken | Problem> {
  // The bearer must not leave this machine, whatever the variable says.
  if (!/^http:\/\/127\.0\.0\.1:\d{1,5}\/token$/.test(url)) {
    return { problem: 'REMIT_TOKEN_URL must be the endpoint of a run on this machine' };
  }
  try {
    const headers = { authorization: `Bearer ${bearer}` };
    const answer = await httpExchange(url, { headers, maxBytes: MAX_BYTES, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.fault !== null) return { problem: 'the token endpoint of the run answers too much' };
    return tokenFrom(answer.status, answer.body);
  } catch {
    return { problem: 'the token endpoint of the run does not answer: has its command ended?' };
  }
}

const refusal = members({ error: text({ max: 64 }), error_description: text({ max: 512 }) }, { others: 'ignored' });
const answer = members(
  { access_token: text({ max: 8_192 }), expires_in: integer(0, Number.MAX_SAFE_INTEGER) },
  { others: 'ignored' },
);

function tokenFrom(status: number, body: Uint8Array): OuterToken | Problem {
  const json = strictJsonFrom(body);
  if (isProblem(json)) return { problem: `the answer of the token endpoint ${json.problem}` };
  if (status !== 200) {
    const refused = refusal(json.value);
    return { problem: isProblem(refused) ? `status ${status}` : `${refused.error}: ${refused.error_description}` };
  }
  const read = answer(json.value);
  return isProblem(read) ? read : { token: read.access_token, expiresIn: read.expires_in };
}
