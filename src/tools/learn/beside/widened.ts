import { yamlComment } from '../../policy/write/comment.ts';
import { flowYaml } from '../catalog-text.ts';

/** What an attempt is: the use of an action, or a request for a token for it. */
export type AttemptKind = 'use' | 'issue';

/** What existing policies permit an agent to do with learnt actions, although it was not seen to do it. */
export interface Widened {
  readonly agent: string;
  readonly kind: AttemptKind;
  readonly actions: readonly string[];
}

/** Most attempts; the agents for which there are no attempts left are not tried. */
const MAX_ATTEMPTS = 20_000;

/**
 * What existing policies permit of the actions that were added to the catalog: a permit for every action of low risk permits new
 * actions too. Tries each agent with each action, with at most 20,000 attempts in all.
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

/** A suite that lists these permissions, for review and so that `remit policy test` expects them; `null` if there are none. */
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
