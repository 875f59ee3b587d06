import { cedarTokens } from './cedar-text.ts';
import type { CedarToken } from './cedar-text.ts';
import { NAMESPACE } from './namespace.ts';

/** A base schema with the types and entities of this build, and how the folder's own copy differed. */
export interface CompletedBase {
  readonly text: string;
  /** Names whose declarations are those of this build, because the copy declared them differently or lacked them. */
  readonly replaced: readonly string[];
}

/** A declaration of the namespace, up to its `;`. */
interface Declaration {
  readonly kind: string;
  readonly names: readonly string[];
  readonly tokens: readonly CedarToken[];
  readonly start: number;
  readonly end: number;
}

/**
 * A folder's base schema as this build uses it. Types that Remit fills, its entities and its risk groups are those of the build, whatever copy
 * the folder has; attributes that the folder gives to entities, and what it declares besides, are kept. So a copy from another release
 * neither refuses the questions of this build, nor lets policies read what this build does not fill.
 *
 * @param own the text of the folder; returned as it is if it has no `namespace Remit`
 * @param builtIn the base schema that comes with this build. INVARIANT: its entities have no attributes
 */
export function completedBase(own: string, builtIn: string): CompletedBase {
  const body = bodyOf(own);
  if (body === null) return { text: own, replaced: [] };
  const ours = bodyOf(builtIn)?.declarations ?? [];
  const declared = new Set(body.declarations.flatMap(({ names }) => names));
  const replaced: string[] = [];
  let text = own.slice(0, body.end);
  const missing = ours.filter(({ names }) => !names.some((name) => declared.has(name)));
  for (const declaration of missing) {
    text += `\n  ${declarationText(builtIn, declaration)}`;
    replaced.push(...declaration.names);
  }
  text += `${missing.length === 0 ? '' : '\n'}${own.slice(body.end)}`;
  // From the last to the first, so that the offsets of `own` stay valid.
  for (const declaration of body.declarations.toReversed()) {
    const [name = '', ...others] = declaration.names;
    const from = ours.find((each) => each.kind === declaration.kind && each.names.includes(name));
    if (from === undefined || others.length > 0 || declaration.tokens.some(({ text: word }) => word === 'enum'))
      continue;
    const wanted = `${headOf(builtIn, from)}${declaration.kind === 'entity' ? attributesOf(own, declaration) : ''}`;
    if (isSame(wanted, declarationText(own, declaration))) continue;
    text = `${text.slice(0, declaration.start)}${wanted}${text.slice(declaration.end)}`;
    replaced.push(name);
  }
  return { text, replaced: replaced.toSorted() };
}

const declarationText = (text: string, { start, end }: Declaration): string => text.slice(start, end);

/** A declaration, for an entity without its `;`, since its attributes follow. */
const headOf = (text: string, declaration: Declaration): string =>
  declaration.kind === 'entity'
    ? text.slice(declaration.start, declaration.end - 1)
    : declarationText(text, declaration);

/** From the attributes of an entity, or its tags, to its `;`. */
function attributesOf(text: string, { tokens, end }: Declaration): string {
  const from = tokens.find(({ text: word }) => word === '=' || word === '{' || word === 'tags') ?? tokens.at(-1);
  const rest = text.slice(from?.start ?? end, end);
  return rest === ';' ? rest : ` ${rest}`;
}

const isSame = (one: string, other: string): boolean => wordsOf(one) === wordsOf(other);
const wordsOf = (text: string): string =>
  cedarTokens(text)
    .map(({ text: word }) => word)
    .join(' ');

/** The declarations of `namespace Remit`, and the place of its closing brace. */
function bodyOf(text: string): { readonly declarations: readonly Declaration[]; readonly end: number } | null {
  const tokens = cedarTokens(text);
  const start = tokens.findIndex(
    (token, at) => token.text === 'namespace' && tokens[at + 1]?.text === NAMESPACE && tokens[at + 2]?.text === '{',
  );
  if (start === -1) return null;
  const declarations: Declaration[] = [];
  let [depth, from] = [1, start + 3];
  for (let at = from; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token === undefined) return null;
    if (token.text === '{') depth += 1;
    if (token.text === '}') depth -= 1;
    if (depth === 0) return { declarations, end: token.start };
    if (depth !== 1 || token.text !== ';') continue;
    declarations.push(declarationOf(tokens.slice(from, at + 1)));
    from = at + 1;
  }
  return null;
}

/** The words before which the names of a declaration end. */
const AFTER_NAMES: ReadonlySet<string> = new Set(['in', '=', '{', ';', 'tags', 'enum', 'appliesTo']);

function declarationOf(tokens: readonly CedarToken[]): Declaration {
  // Annotations such as `@doc("…")` come before.
  const at = tokens.findIndex(({ text }, index) => KINDS.has(text) && tokens[index - 1]?.text !== '@');
  const words = at === -1 ? [] : tokens.slice(at + 1);
  const end = words.findIndex(({ text }) => AFTER_NAMES.has(text));
  const names = words.slice(0, end === -1 ? 0 : end).flatMap(({ text }) => (text === ',' ? [] : [text]));
  const [first = { start: 0, end: 0 }] = tokens;
  return { kind: tokens[at]?.text ?? '', names, tokens, start: first.start, end: tokens.at(-1)?.end ?? first.end };
}

const KINDS: ReadonlySet<string> = new Set(['entity', 'type', 'action']);
