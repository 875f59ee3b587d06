import type { ArgumentSpec, Catalog, CatalogAction } from '../action/catalog.ts';
import { cedarString, cedarTokens } from './cedar-text.ts';
import { withDeclaredAttributes } from './declared-attributes.ts';
import { NAMESPACE } from './namespace.ts';

const TYPES: Readonly<Record<ArgumentSpec['type'], string>> = {
  string: 'String',
  long: 'Long',
  bool: 'Bool',
  decimal: 'decimal',
  strings: 'Set<String>',
};

/** The schema policies are checked against, and where the generated part begins in it. */
export interface GeneratedSchema {
  readonly text: string;
  /** UTF-16 code units; what is before is the base, with the attributes that the catalog gives to `Server` and `Endpoint`. */
  readonly generatedFrom: number;
}

/**
 * The base schema with one action for each of the catalog, in its risk group and with its own typed `context.args`,
 * written before the closing brace of `namespace Remit`, and with the attributes of its servers and endpoints. A base without that
 * namespace, or one that attributes cannot be added to, is a problem.
 */
export function schemaFrom(base: string, catalog: Catalog): GeneratedSchema | { readonly problem: string } {
  const attributed = withDeclaredAttributes(base, catalog);
  if (typeof attributed !== 'string') return attributed;
  const end = endOfNamespace(attributed);
  if (end === null) return { problem: `the base schema has no \`namespace ${NAMESPACE} { … }\`` };
  const actions = [...catalog.actions.values()].map(actionDeclaration);
  return { text: `${attributed.slice(0, end)}\n${actions.join('\n')}${attributed.slice(end)}`, generatedFrom: end };
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

const actionDeclaration = (action: CatalogAction): string => `
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
      now: datetime,
      args: {${action.args.map(argumentDeclaration).join(', ')}},
    },
  };
`;

const argumentDeclaration = ({ name, type, required }: ArgumentSpec): string =>
  `${cedarString(name)}${required ? '' : '?'}: ${TYPES[type]}`;
