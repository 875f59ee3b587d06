import { attributeTypeOf } from '../action/catalog/attributes.ts';
import type { AttributeType } from '../action/catalog/attributes.ts';
import type { Catalog } from '../action/catalog/catalog.ts';
import { describedResources } from './catalog-entities.ts';
import type { Described } from './catalog-entities.ts';
import { cedarString, cedarTokens } from './cedar-text.ts';
import type { CedarToken } from './cedar-text.ts';
import { NAMESPACE } from './namespace.ts';

const TYPES: Readonly<Record<AttributeType, string>> = {
  string: 'String',
  long: 'Long',
  bool: 'Bool',
  strings: 'Set<String>',
};

/**
 * Adds the catalog's attributes of `Server` and `Endpoint` to a base schema: required if every entity of the type has the
 * attribute, else optional. Returns the same text if there are none. A problem if the base has no declaration to add to,
 * or already declares the attribute.
 */
export function withDeclaredAttributes(base: string, catalog: Catalog): string | { readonly problem: string } {
  let text = base;
  for (const [type, described] of Object.entries(describedResources(catalog))) {
    const declared = declarationsOf(described);
    if (declared.size === 0) continue;
    const added = addedTo(text, type, declared);
    if (typeof added !== 'string') return added;
    text = added;
  }
  return text;
}

/** Declarations such as `"tier"?: String`, by name. */
function declarationsOf(described: readonly Described[]): ReadonlyMap<string, string> {
  const named = Map.groupBy(
    described.flatMap(({ attributes }) => [...attributes]),
    ([name]) => name,
  );
  return new Map(
    [...named.keys()].toSorted().flatMap((name) => {
      const values = named.get(name) ?? [];
      const value = values[0]?.[1];
      if (value === undefined) return [];
      const isRequired = described.every(({ attributes }) => attributes.has(name));
      return [[name, `${cedarString(name)}${isRequired ? '' : '?'}: ${TYPES[attributeTypeOf(value)]}`] as const];
    }),
  );
}

function addedTo(
  text: string,
  type: string,
  declared: ReadonlyMap<string, string>,
): string | { readonly problem: string } {
  const tokens = declarationOf(text, type);
  if (tokens === null) {
    const how = `declare it by itself, as in \`entity ${type}${type === 'Endpoint' ? ' in [Server]' : ''};\``;
    return {
      problem: `the catalog gives attributes to \`${type}\`, but the base schema does not declare that entity by itself: ${how}`,
    };
  }
  const open = tokens.findIndex((token) => token.text === '{');
  const taken = open === -1 ? undefined : namesIn(tokens.slice(open)).find((name) => declared.has(name));
  if (taken !== undefined) {
    return {
      problem: `the attribute \`${taken}\` of \`${type}\` is in the catalog and in the base schema: keep one of them`,
    };
  }
  const list = [...declared.values()].join(', ');
  const brace = tokens[open];
  if (brace !== undefined) {
    const isEmpty = tokens[open + 1]?.text === '}';
    return `${text.slice(0, brace.end)} ${list}${isEmpty ? ' ' : ','}${text.slice(brace.end)}`;
  }
  const end = tokens.find((token) => token.text === 'tags') ?? tokens.at(-1);
  const at = end?.start ?? text.length;
  const space = /\s$/.test(text.slice(0, at)) ? '' : ' ';
  return `${text.slice(0, at)}${space}= { ${list} }${end?.text === 'tags' ? ' ' : ''}${text.slice(at)}`;
}

/** The tokens of a declaration `entity Type … ;` in the namespace, for one type and without an enum of ids. */
function declarationOf(text: string, type: string): readonly CedarToken[] | null {
  const tokens = cedarTokens(text);
  const namespace = tokens.findIndex(
    (token, at) => token.text === 'namespace' && tokens[at + 1]?.text === NAMESPACE && tokens[at + 2]?.text === '{',
  );
  if (namespace === -1) return null;
  let depth = 0;
  for (const [at, token] of tokens.entries()) {
    if (at < namespace) continue;
    if (token.text === '}') depth -= 1;
    if (depth === 0 && at > namespace + 2) return null;
    if (depth === 1 && token.text === 'entity' && tokens[at + 1]?.text === type) {
      const end = tokens.findIndex((each, index) => index > at && each.text === ';');
      const declaration = tokens.slice(at, end + 1);
      return declaration[2]?.text === ',' || declaration[2]?.text === 'enum' ? null : declaration;
    }
    if (token.text === '{') depth += 1;
  }
  return null;
}

/** The names of a record, whose first token is its brace. */
function namesIn(tokens: readonly CedarToken[]): readonly string[] {
  let depth = 0;
  return tokens.flatMap(({ text }, at) => {
    if (text === '{') depth += 1;
    if (text === '}') depth -= 1;
    const [next, after] = [tokens[at + 1]?.text, tokens[at + 2]?.text];
    const isName = depth === 1 && (next === ':' || (next === '?' && after === ':'));
    return isName ? [text.replace(/^"(.*)"$/s, '$1')] : [];
  });
}
