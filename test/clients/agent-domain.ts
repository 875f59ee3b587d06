import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';
import type { LineSink } from '../../src/core/telemetry/decision-log.ts';
import { scratchFolder, startDomain } from '../e2e/domain.ts';
import type { AgentPlace } from './agents.ts';
import { certificateAlone } from './certificate-alone.ts';
import { ISSUING, writePolicies } from '../e2e/written-policies.ts';

/** A server that agents call, and what they may do there. */
export interface CalledServer {
  /** It ends with the domain. */
  readonly server: { readonly address: HostPort; readonly close: () => Promise<void> };
  /** `actions.yaml`, with the server at `files.acme.test` and `localhost`. */
  readonly catalog: string;
  readonly policies: string;
  /** `limits.yaml`. */
  readonly limits?: string;
  /** What each agent declares, for one resource. */
  readonly intent: object;
  /** The URL that agents call, without Envoy's port, and what its local address ends in. */
  readonly url: string;
  readonly urlEnd: '' | '/';
  /** The task of the last call that reached it. */
  readonly lastTask: () => string;
}

/** A denied call. */
export interface Denial {
  readonly reason: string;
  /** Its task; null where the call showed none. */
  readonly task: string | null;
}

/**
 * Where a check took too long nothing was decided, and whoever forwards the call sends it again: what a loaded machine does, and no repeated call of a
 * client.
 */
const UNDECIDED: ReadonlySet<string> = new Set(['check.deadline', 'overloaded']);

/**
 * The reasons of the calls of some tasks that were denied, and of those without a task, in their order. Those of an agent before it may be logged
 * after its end.
 */
export const deniedOf = (denials: readonly Denial[], tasks: ReadonlySet<string>): readonly string[] =>
  denials.flatMap(({ reason, task }) => ((task === null || tasks.has(task)) && !UNDECIDED.has(reason) ? [reason] : []));

/**
 * The reasons of the denials of a suspended task, as sets. There is none if the forwarder asked for the state of its task, as it does each few seconds,
 * between the suspension and the next call: then it answers that call itself.
 */
export const AFTER_STOP: readonly (readonly string[])[] = [['task.suspended'], []];

/** A trust domain with one server behind Envoy, for agents that are processes of their own. */
export interface AgentDomain {
  /** What an agent needs, but for its model. */
  readonly place: Omit<AgentPlace, 'modelUrl'>;
  /** The URL of the server for an agent with its certificate and no token. */
  readonly urlWithoutToken: string;
  /** All denied calls, in their order. */
  readonly denials: readonly Denial[];
  /** An operator suspends the task of the last call that reached the server. */
  readonly suspendTask: () => Promise<void>;
  /** What an operator is told of a task, such as `active`. */
  readonly stateOfTask: (task: string) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** Starts it with this Envoy. @param issuer further settings of the issuer */
export async function startAgentDomain(
  envoy: string,
  called: CalledServer,
  issuer: Readonly<Record<string, unknown>> = {},
): Promise<AgentDomain> {
  const { folder, remove } = await scratchFolder('remit-clients-');
  const policies = join(folder, 'policies');
  await writePolicies(policies, {
    ...ISSUING,
    'actions.yaml': called.catalog,
    'limits.yaml': called.limits ?? '',
    'policies/agents.cedar': called.policies,
  });
  const denials: Denial[] = [];
  const domain = await startDomain(envoy, {
    folder,
    policies,
    filesServer: called.server.address,
    settings: {
      // Each agent of a suite is stopped by an operator, and the next one declares a like task.
      issuer: {
        operators: ['spiffe://acme.test/ns/agents/sa/reporter'],
        stoppedTaskWaitSeconds: 'off',
        ...issuer,
      },
      decisionLog: 'stdout',
    },
    stdout: sinkOf(denials),
    // A name that every machine resolves.
    envoyConfig: (shipped) =>
      shipped.replace('domains: [files.acme.test]', "domains: [files.acme.test, localhost, 'localhost:*']"),
  });
  const alone = await certificateAlone(folder, domain.stage.envoyPort);
  const { envoyPort, issuerHost, issuerPort, reporter } = domain.stage;
  const intent = join(folder, 'intent.json');
  await writeFile(intent, JSON.stringify(called.intent));
  return {
    place: {
      folder,
      issuer: `https://${issuerHost}`,
      intent,
      upstream: `${called.url},connect=127.0.0.1:${envoyPort}`,
      urlEnd: called.urlEnd,
      direct: called.url.replace('files.acme.test', `localhost:${envoyPort}`),
    },
    urlWithoutToken: called.url.replace('https://files.acme.test', alone.url),
    denials,
    suspendTask: async () => {
      const path = `/tasks/${called.lastTask()}/suspend`;
      const reply = await reporter.call(issuerPort, { host: issuerHost, method: 'POST', path });
      if (reply.status !== 200) throw new Error(`the task was not suspended: ${reply.body}`);
    },
    stateOfTask: async (task) => {
      const reply = await reporter.call(issuerPort, { host: issuerHost, method: 'GET', path: `/tasks/${task}` });
      return (JSON.parse(reply.body) as { readonly state: string }).state;
    },
    close: async () => {
      await alone.close();
      await domain.stop();
      await called.server.close();
      await remove();
    },
  };
}

/** Takes each denied POST from the lines of the decision log: clients also look for metadata by GET. */
const sinkOf = (denials: Denial[]): LineSink => ({
  writable: true,
  writableLength: 0,
  write: (lines) => {
    for (const line of lines.trimEnd().split('\n')) {
      const { decision, method, reason, task } = JSON.parse(line) as Readonly<Record<string, string | null>>;
      if (decision === 'deny' && method === 'POST') denials.push({ reason: reason ?? '', task: task ?? null });
    }
  },
});
