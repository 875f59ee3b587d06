import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent } from '../../src/dev/agent.ts';
import type { SpiffeId } from '../../src/core/identity/spiffe-id.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

/** A running `remit dev` in a separate process. */
export interface DevProcess {
  readonly running: Running;
  /** What it printed under that name, such as `folder`. */
  readonly place: (name: string) => string;
  readonly port: (name: 'envoy' | 'issuer') => number;
  /** An agent with the SVID that it wrote under that name. */
  readonly agent: (name: string) => Promise<Agent>;
  /** The answer to `GET /metrics`. */
  readonly metrics: (accept?: string) => Promise<string>;
  /** Ends the process and its agents. */
  readonly stop: () => Promise<void>;
}

/** Starts it; rejects where it does not become ready. */
export async function startDevProcess(environment: Readonly<Record<string, string>>): Promise<DevProcess> {
  const running = remit(['dev'], environment);
  const agents: Agent[] = [];
  const place = (name: string): string => new RegExp(`^  ${name} +(\\S+)$`, 'm').exec(running.out())?.[1] ?? '';
  const read = (file: string): Promise<string> => readFile(join(place('folder'), file), 'utf8');
  await running.said('look at the tasks');
  return {
    running,
    place,
    port: (name) => Number(new URL(place(name)).port),
    agent: async (name) => {
      // The names of the workloads in the domain.
      const id = `spiffe://acme.test/ns/agents/sa/${name}` as SpiffeId;
      const svid = { id, certPem: await read(`${name}.pem`), keyPem: await read(`${name}.key`) };
      const agent = new Agent(svid, await read('bundle.pem'));
      agents.push(agent);
      return agent;
    },
    metrics: async (accept = 'text/plain') => {
      const url = place('readiness').replace('/readyz', '/metrics');
      return (await fetch(url, { headers: { accept } })).text();
    },
    stop: async () => {
      for (const agent of agents) agent.close();
      running.child.kill('SIGINT');
      await running.exit;
    },
  };
}
