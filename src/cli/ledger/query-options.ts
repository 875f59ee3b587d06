/** The options that select records by members which only some kinds have. */
import { pathTemplateFrom } from '../../core/action/catalog/template.ts';
import type { AskedArg, RecordQuery } from '../../core/ledger/search/record-query.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** Options that select records by members which only some kinds have. */
export const queryOptions = {
  arg: { type: 'string', multiple: true },
  value: { type: 'string' },
  token: { type: 'string' },
  parent: { type: 'string' },
  delegate: { type: 'string' },
  subject: { type: 'string' },
  policy: { type: 'string' },
  'policy-set': { type: 'string' },
  purpose: { type: 'string' },
  'intent-hash': { type: 'string' },
  'refused-address': { type: 'string' },
  path: { type: 'string' },
  'not-executed': { type: 'boolean' },
} as const;

/** The help for `queryOptions`. */
export const QUERY_HELP = `  --arg NAME=VALUE    uses with this recorded argument; of a list, with this item. Repeatable: all of them
  --value TEXT        uses with this text as any recorded argument, or as a segment of their path
  --path TEMPLATE     uses whose path is of this template, such as /v1/payments/{id}
  --token DIGEST      records of the token with this \`jtiDigest\`
  --subject SUBJECT   intents on behalf of this subject
  --purpose TEXT      intents with this purpose
  --intent-hash HASH  intents with this hash
  --parent ID         intents of the parts of this task
  --delegate ID       tokens that hand on a part to this agent
  --policy ID         decisions by this policy, or that it would have made
  --policy-set HASH   records of this policy set
  --refused-address IP  uses of a refused caller at this address
  --not-executed      allowed uses of which no outcome says that an upstream answered`;

/** The options as they are parsed. */
export interface QueryValues {
  readonly arg?: readonly string[] | undefined;
  readonly value?: string | undefined;
  readonly token?: string | undefined;
  readonly parent?: string | undefined;
  readonly delegate?: string | undefined;
  readonly subject?: string | undefined;
  readonly policy?: string | undefined;
  readonly 'policy-set'?: string | undefined;
  readonly purpose?: string | undefined;
  readonly 'intent-hash'?: string | undefined;
  readonly 'refused-address'?: string | undefined;
  readonly path?: string | undefined;
  readonly 'not-executed'?: boolean | undefined;
}

/** What the options ask for, or what is wrong with them. */
export function queryFrom(values: QueryValues): RecordQuery | CommandRefusal {
  const { arg, value, token, parent, delegate, subject, policy, purpose, path } = values;
  const args: AskedArg[] = [];
  for (const text of arg ?? []) {
    const at = text.indexOf('=');
    if (at < 1) return taskRefusal(`--arg must be NAME=VALUE, got \`${text}\`: --value finds a value of any name`);
    args.push({ name: text.slice(0, at), value: text.slice(at + 1) });
  }
  const template = path === undefined ? undefined : pathTemplateFrom(path);
  if (template !== undefined && 'problem' in template)
    return taskRefusal(`--path \`${path ?? ''}\`: ${template.problem}`);
  return {
    args: args.length === 0 ? undefined : args,
    value,
    token,
    parent,
    delegate,
    subject,
    policy,
    policySet: values['policy-set'],
    purpose,
    intentHash: values['intent-hash'],
    refusedAddress: values['refused-address'],
    path: template,
    isUnexecuted: values['not-executed'] === true ? true : undefined,
  };
}
