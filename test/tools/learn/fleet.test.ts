import { describe, expect, it } from '@jest/globals';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import { authorizationDetailsFrom } from '../../../src/core/token/authorization-details.ts';
import { CallJudge } from '../../../src/tools/learn/judge.ts';
import type { Learnt } from '../../../src/tools/learn/learn.ts';
import { learntCallFrom } from '../../../src/tools/learn/learnt-call.ts';
import type { LearntCall } from '../../../src/tools/learn/learnt-call.ts';
import { must } from '../../builders/must.ts';
import { folderWith, mustLoad } from '../../builders/policy-folder.ts';
import { thoroughly } from '../../thoroughly.ts';
import { Draw, fleetOf, FLEET_START_MS, isBusinessOf, recordOf, usesOfFleet } from './fleet.ts';
import type { Fleet, FleetUse } from './fleet.ts';
import { learnFrom, logOf } from './learning.ts';

const DAYS = 14;
const HALF_MS = FLEET_START_MS + (DAYS / 2) * 86_400_000;

const callIn = (record: object): LearntCall => {
  const call = learntCallFrom(JSON.parse(JSON.stringify(record)));
  if (typeof call === 'string' || 'left' in call) throw new Error('the record teaches nothing');
  return call;
};

/** The files once a person has decided what is a comment: what is an agent’s business is put in force. */
function decided(
  { folder }: Learnt,
  isBusiness: (agent: string, actionId: string) => boolean,
): ReadonlyMap<string, string> {
  const files = new Map(folder.files);
  for (const permit of folder.permits) {
    const [line] = permit.lines;
    if (permit.undecided === null || line === undefined) continue;
    if (!permit.agents.every((agent) => isBusiness(agent, line.action.id))) continue;
    const policies = `policies/${permit.server}.cedar`;
    const block = (files.get(policies) ?? '')
      .split('\n\n')
      .map((text) => (text.includes(`@id("${permit.id}")`) ? text.replaceAll(/^\/\/ decide: ?/gm, '') : text));
    files.set(policies, block.join('\n\n'));
    for (const agent of permit.agents) {
      const name = folder.intents.get(agent) ?? '';
      const lines = (files.get(name) ?? '').split('\n');
      const isAll = lines.every((text) => text === '' || text.startsWith('#'));
      const own = lines.map((text) =>
        isAll ||
        (text.includes(`- ${line.action.id} `) && text.includes('# decide: ')) ||
        isEntryOf(text, lines, line.action.id)
          ? text.replace('# decide: ', '')
          : text,
      );
      files.set(name, own.join('\n'));
    }
  }
  return files;
}

/** Whether a line belongs to an entry of an intent that is a comment as a whole, and has the action. */
function isEntryOf(text: string, lines: readonly string[], action: string): boolean {
  if (!text.startsWith('# decide:   ')) return false;
  const at = lines.indexOf(text);
  const start = lines.findLastIndex((other, index) => index <= at && other.startsWith('# decide:   - resource:'));
  const next = lines.findIndex((other, index) => index > start && !other.startsWith('# decide:     '));
  return lines.slice(start, next === -1 ? undefined : next).some((other) => other.includes(`- ${action} `));
}

async function judgeOf(files: ReadonlyMap<string, string>, intents: ReadonlyMap<string, string>): Promise<CallJudge> {
  const policies = [...files].filter(([name]) => name.endsWith('.cedar')).map(([, text]) => text);
  const source = folderWith(policies.join('\n'), {
    catalog: files.get('actions.yaml') ?? '',
    entities: files.get('learnt.cedarentities.json') ?? '',
  });
  const set = await mustLoad(source);
  const granted = Array.from(intents, ([agent, name]) => {
    const { access } = must(intentFileFrom(files.get(name) ?? '', name));
    return [agent, must(authorizationDetailsFrom(access.map(({ detail }) => detail)))] as const;
  });
  return new CallJudge(set, new Map(granted));
}

const deniedOf = (judge: CallJudge, uses: readonly FleetUse[]): readonly FleetUse[] =>
  uses.filter(({ record }) => judge.add(callIn(record)).reason !== null);

/** Calls of agents to what is none of their business, with values that were never seen. */
function offTask({ actions, agents }: Fleet, count: number, draw: Draw): readonly LearntCall[] {
  return Array.from({ length: count }, (_, n) => {
    for (;;) {
      const [agent, action] = [draw.of(agents), draw.of(actions)];
      if (!isBusinessOf(agent, action)) return callIn(recordOf(agent.id, action, { draw, atMs: HALF_MS + n, n }));
    }
  });
}

describe('learning from a fleet of 30 agents, 400 actions and 12 servers', () => {
  // Seed 3 found the last fault: an errand of it shows two values of a parameter.
  it.each(thoroughly([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [3]))(
    'denies nothing legitimate of the half that was not learnt, and 99 of 100 off-task calls: seed %i',
    async (seed) => {
      const fleet = fleetOf(seed);
      expect(fleet.actions).toHaveLength(400);
      const uses = usesOfFleet(fleet, seed * 1_000, DAYS);
      const first = uses.filter(({ record }) => record.at < HALF_MS);
      const rest = uses.filter(({ record }) => record.at >= HALF_MS);
      // The last fifth of the span is judged by `learn` itself: this span ends so late that the whole half is learnt.
      const span = { fromMs: FLEET_START_MS, toMs: HALF_MS + (HALF_MS - FLEET_START_MS) / 4 };
      const learnt = await learnFrom(
        first.map(({ record }) => record),
        { span, sources: [logOf(first.map(({ record }) => record))] },
      );
      const legitimate = rest.filter((use) => use.isLegitimate);

      const before = await judgeOf(learnt.folder.files, learnt.folder.intents);
      const deniedBefore = deniedOf(before, legitimate);

      const did = new Map(
        learnt.folder.permits.flatMap(({ lines }) => lines.map(({ action }) => [action.id, action] as const)),
      );
      const truth = new Map(
        first.map((use) => [
          `${use.agent.id} ${use.record.method} ${use.record.host}${use.record.path} ${toolOf(use)}`,
          use.isLegitimate,
        ]),
      );
      const isBusiness = (agent: string, id: string): boolean => {
        const action = did.get(id);
        return [...truth].some(
          ([key, is]) => is && key.startsWith(`${agent} `) && action !== undefined && isCallOf(key, action, learnt),
        );
      };
      const files = decided(learnt, isBusiness);
      const after = await judgeOf(files, learnt.folder.intents);
      const deniedAfter = deniedOf(after, legitimate);
      expect(deniedAfter.map(({ agent, action }) => `${agent.id} ${action.id}`)).toEqual([]);

      const injected = offTask(fleet, thoroughly(10_000, 1_000), new Draw(seed + 7));
      const passed = injected.filter((call) => after.add(call).reason === null);
      // What is denied before a person decides is what that person is asked: some of it, never most. What deletes is asked always.
      expect(deniedBefore.length).toBeGreaterThan(0);
      const asked = deniedBefore.filter(({ action }) => !action.id.endsWith('.delete'));
      expect(asked.length).toBeLessThan(legitimate.length / 20);
      expect(passed.length).toBeLessThanOrEqual(injected.length / 100);
    },
    600_000,
  );
});

const toolOf = ({ record: { shape } }: FleetUse): string => shape?.rpc?.tool ?? shape?.rpc?.method ?? '';

/** Whether a call, as `truth` names it, is one of an action: by its last path, its tool or its method. */
function isCallOf(
  key: string,
  { section, name, server }: { readonly section: string; readonly name: string; readonly server: string },
  { folder }: Learnt,
): boolean {
  const [, method = '', place = '', tool = ''] = key.split(' ');
  const slash = place.indexOf('/');
  const [host, path] = [place.slice(0, slash), place.slice(slash)];
  if (folder.accepted.servers.find(({ id }) => id === server)?.host !== host) return false;
  if (section === 'tools' || section === 'methods') return tool === name;
  if (section === 'send') return tool === 'message/send';
  if (section === 'grpc') return path === `/${name}`;
  const found = folder.accepted.catalog.serverAt(host, path.slice(1).split('/'));
  const target =
    found.kind === 'server' ? folder.accepted.catalog.find(found.server, method, path.slice(1).split('/')) : undefined;
  return (
    target?.kind === 'http' && `${method} ${target.action.template}` === name.replaceAll(/\{([^:}]*):[^/]*\}/g, '{$1}')
  );
}
