import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { inlineYaml } from './new-intent.ts';
import type { NewEntry, NewIntent } from './new-intent.ts';

const CALLS = 20;

/**
 * An intent for some actions of one server, to be edited. It allows 20 calls in a quarter of an hour. An action of high risk with
 * a `long` or a `decimal` outside of its path gets an entry of its own, whose `max_amount` is 0 until it is edited.
 *
 * @param actions at least one, all of one server
 */
export function intentOfCatalog(actions: readonly [CatalogAction, ...CatalogAction[]], purpose: string): NewIntent {
  const [{ server }] = actions;
  const summed = actions.flatMap((action) => {
    const spec =
      action.risk === 'high'
        ? action.args.find(({ type, from }) => (type === 'long' || type === 'decimal') && from !== 'path')
        : undefined;
    return spec === undefined ? [] : [{ action, argument: spec.name, limit: spec.type === 'long' ? 0 : '0.00' }];
  });
  const others = actions.filter((action) => summed.every((one) => one.action !== action));
  return {
    head: [
      `What one task is for and what it may do at ${server.id}. Leave out what it does not need.`,
      '`remit intent check` says what the issuer would grant of it.',
    ],
    purpose,
    resource: server.audience,
    entries: [
      ...(others.length === 0 ? [] : [{ actions: others.map(named), constraints: [calls] }]),
      ...summed.map(({ action, argument, limit }): NewEntry => ({
        actions: [named(action)],
        constraints: [
          calls,
          {
            name: 'max_amount',
            value: inlineYaml({ argument, limit }),
            note: `the largest sum of \`${argument}\` over all calls: raise it`,
          },
        ],
      })),
    ],
    expiresIn: { value: '15m', note: 'the longest life of the task' },
  };
}

const calls = { name: 'max_calls', value: String(CALLS), note: 'calls of the whole task: raise or lower it' };

function named({ id, risk, endpoint, args }: CatalogAction): NewEntry['actions'][number] {
  const typed = args.map(({ name, type, required }) => `${name}${required ? '' : '?'}: ${type}`);
  return { id, note: `${risk} risk, ${endpoint}${typed.length === 0 ? '' : `, ${typed.join(', ')}`}` };
}
