import type { ArgumentSpec, Catalog, CatalogAction } from '../action/catalog/catalog.ts';
import { builtInBase } from './built-in-base.ts';
import { cedarString, cedarTokens } from './cedar-text.ts';
import { completedBase } from './completed-base.ts';
import { withDeclaredAttributes } from './declared-attributes.ts';
import { NAMESPACE } from './namespace.ts';

const TYPES: Readonly<Record<ArgumentSpec['type'], string>> = {
  string: 'String',
  long: 'Long',
  bool: 'Bool',
  decimal: 'decimal',
  strings: 'Set<String>',
};

/** The schema that policies are checked against, and the start of its generated part. */
export interface GeneratedSchema {
  readonly text: string;
  /** In UTF-16 code units; before it is the base, with the catalog's attributes of `Server` and `Endpoint`. */
  readonly generatedFrom: number;
  /** The base as this build uses it: `completedBase`. */
  readonly base: string;
  /** Declarations of this build that the folder's base lacks, or has otherwise. */
  readonly replaced: readonly string[];
}

/**
 * Generates the schema: the base, with what this build declares, with the action `issue` and each catalog action (in its risk group, with typed
 * `context.args`), inserted before the closing brace of `namespace Remit`, and with the catalog's attributes. A problem if the base lacks
 * that namespace or attributes cannot be added.
 */
export function schemaFrom(own: string, catalog: Catalog): GeneratedSchema | { readonly problem: string } {
  const { text: base, replaced } = completedBase(own, builtInBase());
  const attributed = withDeclaredAttributes(base, catalog);
  if (typeof attributed !== 'string') return attributed;
  const end = endOfNamespace(attributed);
  if (end === null) return { problem: `the base schema has no \`namespace ${NAMESPACE} { … }\`` };
  const { timeZones, subjectAttributes } = catalog;
  // Only what the catalog names, so that policies cannot read what never exists.
  const terms = [
    timeZones.size === 0 ? '' : '\n      time: Time,',
    subjectAttributes.size === 0 ? '' : '\n      subjectAttributes: SubjectAttributes,',
  ].join('');
  const actions = [...catalog.actions.values()].map((action) => actionDeclaration(action, terms));
  const generated = [
    ...typesOfTime(timeZones),
    ...typesOfSubjects(subjectAttributes),
    issueDeclaration(terms),
    ...actions,
  ];
  const text = `${attributed.slice(0, end)}\n${generated.join('\n')}${attributed.slice(end)}`;
  return { text, generatedFrom: end, base, replaced };
}

function endOfNamespace(base: string): number | null {
  const tokens = cedarTokens(base);
  const start = tokens.findIndex(
    (token, at) => token.text === 'namespace' && tokens[at + 1]?.text === NAMESPACE && tokens[at + 2]?.text === '{',
  );
  if (start === -1) return null;
  let depth = 0;
  for (const token of tokens.slice(start + 2)) {
    if (token.text === '{') depth += 1;
    if (token.text === '}') depth -= 1;
    if (depth === 0) return token.start;
  }
  return null;
}

const typesOfTime = (zones: Catalog['timeZones']): readonly string[] =>
  zones.size === 0
    ? []
    : [
        `
  // Local time in a time zone.
  type LocalTime = {
    weekday: Long, // 1 is Monday, 7 Sunday
    minuteOfDay: Long, // 0 to 1439: 08:30 is 510
    date: datetime, // as datetime("2026-12-25")
  };
  // \`timeZones\` of actions.yaml.
  type Time = {
${Array.from(zones, ([name, zone]) => `    ${cedarString(name)}: LocalTime, // ${zone}`).join('\n')}
  };
`,
      ];

const typesOfSubjects = (types: Catalog['subjectAttributes']): readonly string[] =>
  types.size === 0
    ? []
    : [
        `
  // \`subjectAttributes\` of actions.yaml: attributes of the subject from its subject token. Absent where the token lacks them.
  type SubjectAttributes = {
${Array.from(types, ([name, type]) => `    ${cedarString(name)}?: ${TYPES[type]},`).join('\n')}
  };
`,
      ];

const issueDeclaration = (terms: string): string => `
  // Whether a task token may be issued for one action at one server. Evaluated once for each action of an intent.
  action "issue" appliesTo {
    principal: Agent,
    resource: Server,
    context: {
      intent: {
        purpose: String,
        actions: Set<String>,
      },
      requested: {
        action: String,
        risk: String,
        // From the entry of authorization_details that requests the action. An absent member is not limited.
        constraints: {
          singleUse: Bool,
          maxCalls?: Long,
          maxAmount?: {
            argument: String, // the argument whose sum is limited
            limit: Long, // in the unit of the argument; a decimal limit is rounded up
            currency?: {
              argument: String,
              value: String,
            },
          },
          notBefore?: datetime,
          notAfter?: datetime,
        },
      },
      ttlSeconds: Long, // life of this token alone; the task gets further ones
      taskSeconds: Long, // life of the task, from its declaration to its deadline
      subject: String, // on whose behalf
      actors: Set<String>,
      claimed: Set<String>, // "name=value": claims of the agent, which nobody checks. Never permit by them.
      attested: Set<Attested>, // values that others attest; empty until the task exists
      risk: String, // "low", or higher where signals have raised it; then the question is asked again
      delegation?: { // present where an agent delegates a part of its task
        parent: String,
        depth: Long, // 1 for the first delegation
        attested: Set<Attested>, // of the parent tasks; the sub-task itself begins with nothing attested
      },
      stopped?: { // present for a day after somebody other than the agent stopped a task of it with an action of the intent
        cause: String, // "operator", "signal", "context" or "binding"
        suspended: Bool, // whether that task is still suspended
        secondsSince: Long, // since it ended, or was suspended
      },
      now: datetime,${terms}
    },
  };
`;

const actionDeclaration = (action: CatalogAction, terms: string): string => `
  // ${action.server.id}: ${action.endpoint}
  action ${cedarString(action.id)} in [Action::${cedarString(action.risk)}] appliesTo {
    principal: Agent,
    resource: Endpoint,
    context: {
      intent: Intent,
      subject: String,
      actors: Set<String>,
      credential: Credential,
      request: Request,
      claimed: Set<String>,
      attested: Set<Attested>,
      task: {actions: Set<String>, labels: Set<String>},
      labels: Set<String>,
      risk: String,
      now: datetime,${terms}
      args: {${action.args.map(argumentDeclaration).join(', ')}},
    },
  };
`;

const argumentDeclaration = ({ name, type, required }: ArgumentSpec): string =>
  `${cedarString(name)}${required ? '' : '?'}: ${TYPES[type]}`;
