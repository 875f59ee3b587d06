import type { PathReads, Reads } from './reads.ts';

/**
 * What policies may read, a line each, sorted. `context.risk` is read whole; `has context.args.x` says only whether it is
 * there; `context.now against datetime 1767225600000` only on which side of it; `principal in …` what it is in; `everything`
 * stands alone. Names of principal, action and resource are in every key and are not listed.
 */
export function linesOf({ everything, roots }: Reads): readonly string[] {
  if (everything) return ['everything'];
  return [...roots].flatMap(([name, path]) => linesOfPath(rootName(name), path, true)).sort();
}

const rootName = (name: string): string =>
  name.replace(/^entity (\S+) (.*)$/su, (_all, type, id) => `${type}::${JSON.stringify(id)}`);

function linesOfPath(name: string, path: PathReads, isRoot: boolean): readonly string[] {
  const below = [
    ...[...path.attrs].flatMap(([attr, child]) => linesOfPath(`${name}${accessTo(attr)}`, child, false)),
    ...[...path.tags].flatMap(([tag, child]) => linesOfPath(`${name}.getTag(${JSON.stringify(tag)})`, child, false)),
  ];
  // The name of a variable is in every key, and an entity that is written out is always the same.
  const isNamed = isRoot && name !== 'context';
  const own = [
    ...(path.whole && !isNamed ? [name] : []),
    ...(path.ancestors ? [`${name} in …`] : []),
    ...(path.allTags ? [`${name}.getTag(…)`] : []),
    ...(path.whole ? [] : boundLines(name, path)),
  ];
  if (own.length > 0 || below.length > 0 || isRoot) return [...own, ...below];
  return [`has ${name}`];
}

const boundLines = (name: string, { bounds }: PathReads): readonly string[] =>
  Object.entries(bounds).flatMap(([kind, set]) =>
    set.size === 0 ? [] : [`${name} against ${kind} ${[...set].sort((left, right) => left - right).join(', ')}`],
  );

const accessTo = (attr: string): string => (/^[A-Za-z_]\w*$/.test(attr) ? `.${attr}` : `[${JSON.stringify(attr)}]`);
