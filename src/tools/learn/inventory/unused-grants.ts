import { cedarStatements } from '../../../core/policy/cedar-text.ts';
import type { CedarStatement } from '../../../core/policy/cedar-text.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { SourceFile } from '../../../core/policy/loading/source.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { Inventory } from './inventory.ts';

/** A policy file without unused permits and actions. */
export interface NarrowedFile {
  readonly file: SourceFile;
  readonly text: string;
  /** A change of whole lines, as `git apply` takes it. */
  readonly patch: string;
}

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * The policy files of a set without permits that permitted nothing, and without the actions that a permit lists and never permitted. It only
 * takes away: a forbid, a template, a policy in shadow, which permits nothing yet, and a condition stay as they are. A permit whose actions are not listed one by one stays whole if it was used.
 */
export function withoutUnused({ source, policies }: PolicySet, inventory: Inventory): readonly NarrowedFile[] {
  return source.policies.flatMap((file) => {
    if (!file.name.endsWith('.cedar')) return [];
    const permits = new Map(
      policies
        .filter(
          (policy) =>
            policy.file === file.file && policy.effect === 'permit' && !policy.shadow && policy.link === undefined,
        )
        .map((policy) => [policy.offset, policy.id] as const),
    );
    const edits = cedarStatements(file.text).flatMap((statement) => {
      const id = permits.get(statement.start);
      return id === undefined ? [] : editsOf(statement, inventory.usedBy(id));
    });
    if (edits.length === 0) return [];
    return [{ file, text: edited(file.text, edits).replace(/^\n+/, ''), patch: patchOf(file, edits) }];
  });
}

function editsOf(statement: CedarStatement, used: ReadonlySet<string> | null): readonly Edit[] {
  const { start, text, tokens } = statement;
  if (used === null) return [{ start, end: start + text.length, text: '' }];
  const list = actionList(tokens);
  if (list === null) return [];
  const kept = list.actions.filter((action) => used.has(action.id));
  if (kept.length === list.actions.length || kept.length === 0) return [];
  return [{ start: list.start, end: list.end, text: `[${kept.map((action) => action.text).join(', ')}]` }];
}

interface ActionList {
  readonly start: number;
  readonly end: number;
  readonly actions: readonly { readonly id: string; readonly text: string }[];
}

/** The list after `action in`; `null` if the scope has none, or it has anything but names of actions. */
function actionList(tokens: CedarStatement['tokens']): ActionList | null {
  const at = tokens.findIndex((token, index) => token.text === 'action' && tokens[index + 1]?.text === 'in');
  const open = tokens[at + 2];
  if (at === -1 || open?.text !== '[') return null;
  const actions: { readonly id: string; readonly text: string }[] = [];
  for (let index = at + 3; index < tokens.length; index += 6) {
    const words = tokens.slice(index, index + 5).map(({ text }) => text);
    const end = tokens[index + 5];
    const name = words[4];
    if (words.slice(0, 4).join('') !== `${NAMESPACE}::Action::` || name === undefined || end === undefined) return null;
    // A name with escapes keeps the whole list: an id that can be read in two ways must not be removed as another.
    if (!/^"[\w.-]*"$/.test(name)) return null;
    actions.push({ id: name.slice(1, -1), text: words.join('') });
    if (end.text === ']') return { start: open.start, end: end.end, actions };
    if (end.text !== ',') return null;
  }
  return null;
}

function edited(text: string, edits: readonly Edit[]): string {
  return edits
    .toReversed()
    .reduce((whole, { start, end, text: by }) => whole.slice(0, start) + by + whole.slice(end), text);
}

const NO_END = String.raw`\ No newline at end of file`;

/** One hunk over the whole file: lines that an edit touches are taken away, and what is left of them is added. */
function patchOf({ name, text }: SourceFile, edits: readonly Edit[]): string {
  const lines = text.split('\n');
  const hasEnd = lines.at(-1) === '';
  if (hasEnd) lines.pop();
  const body: string[] = [];
  let at = 0;
  let added = 0;
  let taken = 0;
  for (let index = 0; index < lines.length;) {
    const line = lines[index] ?? '';
    // An edit may begin on the line on which another ends: all lines of both are one change.
    const isTouched = (length: number): boolean => edits.some(({ start, end }) => start < at + length && end > at);
    if (!isTouched(line.length + 1)) {
      body.push(` ${line}`, ...(hasEnd || index < lines.length - 1 ? [] : [NO_END]));
      at += line.length + 1;
      index += 1;
      continue;
    }
    const from = at;
    const old: string[] = [];
    while (index < lines.length && (old.length === 0 || isTouched(0))) {
      const one = lines[index] ?? '';
      old.push(one);
      at += one.length + 1;
      index += 1;
    }
    const inside = edits
      .filter((edit) => edit.start >= from && edit.end <= at)
      .map((edit) => ({ text: edit.text, start: edit.start - from, end: edit.end - from }));
    const left = edited(`${old.join('\n')}\n`, inside)
      .split('\n')
      .filter((one) => one.trim() !== '');
    const noEnd = hasEnd || index < lines.length ? [] : [NO_END];
    body.push(...old.map((one) => `-${one}`), ...noEnd, ...left.map((one) => `+${one}`));
    taken += old.length;
    added += left.length;
  }
  const rest = lines.length - taken;
  return [
    `--- a/${name}`,
    `+++ b/${name}`,
    `@@ -1,${lines.length} +${rest + added === 0 ? 0 : 1},${rest + added} @@`,
    ...body,
  ].join('\n');
}
