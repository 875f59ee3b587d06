import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent } from '../../src/dev/agent.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';

/** What a process of noise does, and how often: `fork` this file, send a `NoiseOrder`, and end it by a signal. */
export interface NoiseOrder {
  readonly role: NoisyRole;
  /** Turns per second. One that is late is left out, so the rate is never exceeded. */
  readonly perSecond: number;
  readonly svid: IssuedSvid;
  readonly bundlePem: string;
  readonly issuerPort: number;
  readonly adminPort: number;
  /** Policy folder that a reload changes. */
  readonly policies: string;
  /** The command `remit ledger verify` of the ledger. */
  readonly verify: readonly string[];
}

/** The roles that have a process of noise. */
export type NoisyRole = 'tokens' | 'ends' | 'policies' | 'scrapes' | 'verification';

/** What the process tells after each turn: how many succeeded, and the failure of the last one that did not. */
export interface NoiseMade {
  readonly made: number;
  readonly failure: string | null;
}

const AUDIENCE = 'https://files.acme.test';
/** Turns under way. */
const MOST_UNDER_WAY = 8;

const [order] = (await once(process, 'message')) as [NoiseOrder];
const agent = new Agent(order.svid, order.bundlePem);

async function asked(path: string, body: string): Promise<string> {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await agent.call(order.issuerPort, { host: 'localhost', method: 'POST', path, headers, body });
  if (answer.status !== 200) throw new Error(`the issuer answered ${answer.status}: ${answer.body}`);
  return answer.body;
}

function declared(): Promise<string> {
  const detail = { type: 'urn:remit:task', locations: [AUDIENCE], actions: ['files.read'], purpose: 'noise' };
  const details = JSON.stringify([detail]);
  const form = { grant_type: 'client_credentials', resource: AUDIENCE, authorization_details: details };
  return asked('/oauth/token', new URLSearchParams(form).toString());
}

let changes = 0;

/** One turn of each role. */
const turns: Readonly<Record<NoisyRole, () => Promise<unknown>>> = {
  tokens: declared,
  ends: async () => asked(`/tasks/${JSON.parse(await declared()).txn}/complete`, ''),
  policies: async () => {
    const file = join(order.policies, 'policies', 'others.cedar');
    const text = (await readFile(file, 'utf8')).replace(/\n\/\/ change \d+\n$/, '');
    await writeFile(`${file}.new`, `${text}\n// change ${(changes += 1)}\n`);
    await rename(`${file}.new`, file);
  },
  scrapes: async () => {
    const answer = await fetch(`http://127.0.0.1:${order.adminPort}/metrics`);
    if (!(await answer.text()).includes('remit_decisions_total')) throw new Error('a scrape without checks');
  },
  verification: async () => {
    const [command = '', ...args] = order.verify;
    await promisify(execFile)(command, args).catch((error: { readonly code?: unknown }) => {
      // A running ledger has a tail that is not signed yet.
      if (error.code !== BARE_TAIL) throw error;
    });
  },
};

const BARE_TAIL = 2;

let made = 0;
let underWay = 0;
let failure: string | null = null;

const turn = (): void => {
  if (underWay >= MOST_UNDER_WAY) return;
  underWay += 1;
  turns[order.role]()
    .then(() => (made += 1))
    .catch((error: unknown) => (failure = String(error)))
    .finally(() => {
      underWay -= 1;
      process.send?.({ made, failure } satisfies NoiseMade);
    });
};
process.send?.({ made, failure } satisfies NoiseMade);
turn();
setInterval(turn, 1_000 / order.perSecond);
