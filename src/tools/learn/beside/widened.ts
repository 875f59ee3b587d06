import { yamlComment } from '../../policy/write/comment.ts';
import { flowYaml } from '../catalog-text.ts';

/** What an attempt is: the use of an action, or a request for a token for it. */
export type AttemptKind = 'use' | 'issue';

/** What an agent may do with actions that were learnt, by other policies of the folder: nobody saw it. */
export interface Widened {
  readonly agent: string;
  readonly kind: AttemptKind;
  readonly actions: readonly string[];
}

/** Most attempts that are made to find it. */
const MAX_ATTEMPTS = 20_000;

/**
 * What the policies of a folder permit of actions that were added to its catalog, beside what was learnt: a permit for all that is of low risk permits
 * new actions too. Each agent is tried at each action, as long as there is room.
 */
export function widenedBy(
  agents: Iterable<string>,
  actions: readonly string[],
  isMore: (agent: string, action: string, kind: AttemptKind) => boolean,
): readonly Widened[] {
  const tried = [...agents].slice(0, Math.floor(MAX_ATTEMPTS / Math.max(1, 2 * actions.length)));
  return tried
    .flatMap((agent) =>
      (['use', 'issue'] as const).map((kind) => ({
        agent,
        kind,
        actions: actions.filter((one) => isMore(agent, one, kind)),
      })),
    )
    .filter((one) => one.actions.length > 0);
}

/** The suite that says so, so that it is seen in review, and that `remit policy test` knows it; `null` if there is nothing to say. */
export const widenedSuite = (widened: readonly Widened[]): string | null =>
  widened.length === 0
    ? null
    : [
        yamlComment(
          'Made by `remit learn`: what other policies of the folder permit of actions that were learnt. Nobody was seen to do it.',
        ),
        'cases:',
        ...widened.map(
          ({ agent, kind, actions }) =>
            `  - ${flowYaml({ name: 'permitted by other policies, never seen', agent, [kind === 'use' ? 'action' : 'issue']: actions, expect: 'allow' })}`,
        ),
        '',
      ].join('\n');
