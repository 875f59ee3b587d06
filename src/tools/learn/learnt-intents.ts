import type { NewEntry, NewIntent } from '../policy/write/new-intent.ts';
import { serverAudience } from './learnt-action.ts';
import type { LearntServer } from './learnt-action.ts';
import type { LearntPermit, PermitLine } from './learnt-permits.ts';
import type { SeenAgent } from './seen-agent.ts';
import { sightingsText } from './sightings.ts';

/** Half above the most that was seen. */
const withRoom = (most: number): number => most + Math.ceil(most / 2);

/**
 * The intent of an agent: what its permits have, one entry a server, with half as many calls again as it made in one task, or without tasks in one
 * hour. `null` if nothing that it did is known to the catalog.
 */
export function learntIntent(
  agent: SeenAgent,
  permits: readonly LearntPermit[],
  servers: ReadonlyMap<string, LearntServer>,
): NewIntent | null {
  const own = permits.filter(({ agents }) => agents.includes(agent.id));
  const byServer = [...Map.groupBy(own, ({ server }) => server)];
  const entries = byServer.flatMap(([id, all]): readonly NewEntry[] => {
    const server = servers.get(id);
    if (server === undefined) return [];
    const actions = all.flatMap(({ lines, undecided }) => lines.map((line) => namedLine(line, undecided)));
    return [{ resource: serverAudience(server), actions, constraints: [callsOf(agent)] }];
  });
  const [first] = entries;
  if (first === undefined) return null;
  return {
    head: [
      `What ${agent.id} was seen to do${agent.sightings === undefined ? '' : `: ${sightingsText(agent.sightings)}`}. Made by \`remit learn\`.`,
      'Leave out what one task does not need. A line that begins with `decide:` is not in force.',
    ],
    purpose: 'say what the task is for',
    resource: first.resource ?? '',
    entries: entries.toSorted((one, other) => Number(isOpen(one)) - Number(isOpen(other))),
    expiresIn: { value: '1h', note: 'the longest life of the task: calls without a task were counted by the hour' },
  };
}

/** Whether none of its actions is in force. */
const isOpen = ({ actions }: NewEntry): boolean => actions.every(({ isToDecide }) => isToDecide === true);

/** Whether an intent has an action that is in force: otherwise its file is a comment as a whole. */
export const isIntentInForce = ({ entries }: NewIntent): boolean => entries.some((entry) => !isOpen(entry));

const namedLine = ({ action, seen }: PermitLine, undecided: string | null): NewEntry['actions'][number] => ({
  id: action.id,
  note: `${sightingsText(seen)}${undecided === null ? '' : `; ${undecided}`}`,
  ...(undecided === null ? {} : { isToDecide: true }),
});

const callsOf = ({ mostCalls }: SeenAgent): NewEntry['constraints'][number] => ({
  name: 'max_calls',
  value: String(withRoom(mostCalls)),
  note: `${mostCalls} calls were the most in one task or hour; half as many again`,
});
