import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Agent } from '../../src/dev/agent.ts';
import type { IssuedSvid } from '../../src/dev/authority.ts';

/** What a process of noise does, and how often: `fork` this file and send a `NoiseOrder`. It ends at the next message, after its turns. */
export interface NoiseOrder {
  readonly role: NoisyRole;
  /** Turns per second, the first at once. One that is late is left out, so the rate is never exceeded. */
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
/** Turns under way, of roles that are not one at a time. */
const MOST_UNDER_WAY = 8;
/** How often the generation of the policies is looked at. */
const LOOK_MS = 500;

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

const scraped = async (): Promise<string> => (await fetch(`http://127.0.0.1:${order.adminPort}/metrics`)).text();

const generationIn = (metrics: string): string =>
  metrics.split('\n').find((line) => line.startsWith('remit_policy_generation ')) ?? '';

/** One turn of each role. */
const turns: Readonly<Record<NoisyRole, () => Promise<unknown>>> = {
  tokens: declared,
  ends: async () => asked(`/tasks/${JSON.parse(await declared()).txn}/complete`, ''),
  policies: async () => {
    const file = join(order.policies, 'policies', 'others.cedar');
    const text = (await readFile(file, 'utf8')).replace(/\n\/\/ change \d+\n$/, '');
    await writeFile(`${file}.new`, `${text}\n// change ${Date.now()}\n`);
    const before = generationIn(await scraped());
    await rename(`${file}.new`, file);
    while (generationIn(await scraped()) === before) await delay(LOOK_MS);
  },
  scrapes: async () => {
    if (!(await scraped()).includes('remit_decisions_total')) throw new Error('a scrape without checks');
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
const underWay = new Set<Promise<void>>();
let failure: string | null = null;

const most = order.role === 'policies' || order.role === 'verification' ? 1 : MOST_UNDER_WAY;
const turn = (): void => {
  if (underWay.size >= most) return;
  const one = takenTurn().finally(() => underWay.delete(one));
  underWay.add(one);
};

/** Makes one turn, and tells of it. Never rejects. */
async function takenTurn(): Promise<void> {
  try {
    await turns[order.role]();
    made += 1;
  } catch (error) {
    failure = String(error);
  }
  process.send?.({ made, failure } satisfies NoiseMade);
}

process.send?.({ made, failure } satisfies NoiseMade);
turn();
const turning = setInterval(turn, 1_000 / order.perSecond);
await once(process, 'message');
clearInterval(turning);
await Promise.all(underWay);
agent.close();
process.disconnect?.();
