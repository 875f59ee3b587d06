import { isDeepStrictEqual } from 'node:util';
import { isAlias, isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, Node, ToStringOptions, YAMLMap } from 'yaml';
import { nearestOf } from '../../core/runtime/nearest-name.ts';
import { placesIn } from '../../core/runtime/text-place.ts';
import { offsetOf } from '../../core/runtime/yaml-text.ts';
import { CONTAINER, filled, INJECT_LABEL, MESH_CONTAINERS, MESH_SIDECAR } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';
import { podPlaceOf } from './pod-place.ts';
import { insertion, spliced } from './splice.ts';
import type { Edit } from './splice.ts';

/** Longest text, in bytes. */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
const MAX_PROBLEMS = 20;
/** The lists of a pod that injection changes. */
const LISTS = ['imagePullSecrets', 'initContainers', 'volumes'] as const;

/** The result for one object. */
export interface InjectionOutcome {
  /** Such as `Deployment/web`. */
  readonly object: string;
  /** `current`: has what would be injected. `no-pod`: not a workload. */
  readonly kind: 'injected' | 'current' | 'opted-out' | 'no-pod';
  /** What is probably a mistake in it. */
  readonly warnings: readonly string[];
}

/** The text after injection. */
export interface Injected {
  readonly text: string;
  readonly outcomes: readonly InjectionOutcome[];
}

/** Why the text cannot be read. */
export interface ManifestProblem {
  /** 1-based; 0 for the whole text. */
  readonly line: number;
  readonly message: string;
}

/**
 * Adds the fragment to each workload of a text of YAML documents, or of JSON. Documents without a change are kept to the byte; of others,
 * order, comments and quotes are kept. Idempotent. Workloads and pods with the label `remit.dev/inject: disabled` are kept.
 *
 * @returns the first 20 problems if the text is not YAML, or has aliases on the way to a pod
 */
export function injectedInto(
  text: string,
  fragment: Fragment,
): Injected | { readonly problems: readonly ManifestProblem[] } {
  if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES)
    return { problems: [{ line: 0, message: `the text is larger than ${MAX_MANIFEST_BYTES} bytes` }] };
  const lineOf = placesIn(text);
  const problems: ManifestProblem[] = [];
  const outcomes: InjectionOutcome[] = [];
  const written: string[] = [];
  let from = 0;
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: true, logLevel: 'silent' });
  for (const document of 'empty' in parsed ? [] : parsed) {
    const start = from;
    from = document.range[2];
    const source = text.slice(start, from);
    for (const { pos, message } of document.errors)
      problems.push({ line: lineOf(pos[0]).line, message: `invalid YAML: ${message}` });
    if (document.errors.length > 0) continue;
    const options = printedAs(document, source);
    const edits: (Edit | null)[] = [];
    for (const object of objectsOf(document)) {
      const result = injectObject(object, { document, fragment, text });
      if ('problem' in result) problems.push({ line: lineOf(result.at).line, message: result.problem });
      else {
        outcomes.push(result.outcome);
        edits.push(...result.edits);
      }
    }
    written.push(
      edits.length === 0 ? source : (spliced(document, { edits, text, start }) ?? printed(document, options, source)),
    );
  }
  if (problems.length > 0) return { problems: problems.slice(0, MAX_PROBLEMS) };
  return { text: written.join('') + text.slice(from), outcomes };
}

/** The options with which a document is printed as it was written, or nearly. */
function printedAs(document: Document, source: string): ToStringOptions {
  const isFlow = isMap(document.contents) && document.contents.flow === true;
  const quotes = isFlow ? ({ defaultKeyType: 'QUOTE_DOUBLE', defaultStringType: 'QUOTE_DOUBLE' } as const) : {};
  const usual: ToStringOptions = { lineWidth: 0, ...quotes };
  const other: ToStringOptions = { ...usual, indentSeq: false };
  return document.toString(other) === source ? other : usual;
}

/** A changed document as text, with the line break that its source begins with. */
const printed = (document: Document, options: ToStringOptions, source: string): string =>
  `${/^\r?\n/.exec(source)?.[0] ?? ''}${document.toString(options)}`;

/** The objects of a document: itself, or the items of a list. */
function objectsOf({ contents }: Document): readonly YAMLMap[] {
  if (!isMap(contents)) return [];
  const items = contents.get('items', true);
  if (!isSeq(items) || !String(contents.get('kind')).endsWith('List')) return [contents];
  return items.items.filter((item) => isMap(item));
}

interface ObjectProblem {
  /** Offset in the text. */
  readonly at: number;
  readonly problem: string;
}

interface ObjectInjected {
  readonly outcome: InjectionOutcome;
  /** How to change the text; `null` for a change that needs more than an insertion. */
  readonly edits: readonly (Edit | null)[];
}

function injectObject(
  object: YAMLMap,
  { document, fragment, text }: { readonly document: Document; readonly fragment: Fragment; readonly text: string },
): ObjectInjected | ObjectProblem {
  const name = nameOf(object);
  const place = podPlaceOf({ kind: object.get('kind'), apiVersion: object.get('apiVersion') });
  if (place === null) return { outcome: { object: name, kind: 'no-pod', warnings: [] }, edits: [] };
  const pod = mapAt(object, place);
  const spec = pod === null ? null : mapAt(pod, ['spec']);
  if (pod === null || spec === null || !isSeq(spec.get('containers', true))) {
    const at = offsetOf(object, 0);
    return { at, problem: `\`${name}\` has no pod with \`containers\`; aliases are not followed: write the value out` };
  }
  const isOut = [object, pod].some((of) => of.getIn(['metadata', 'labels', INJECT_LABEL]) === 'disabled');
  if (isOut) return { outcome: { object: name, kind: 'opted-out', warnings: [] }, edits: [] };
  const annotations = annotationsOf(pod);
  const warnings = [...warningsOf(annotations, fragment), ...meshWarnings(spec)];
  const wanted = filled(
    { container: fragment.container, volumes: fragment.volumes },
    ({ annotation, byDefault }) => annotations.get(annotation) ?? byDefault,
  );
  const problem = LISTS.map((list) => spec.get(list, true)).find(
    (list) => list !== undefined && !isSeq(list) && !(isScalar(list) && list.value === null),
  );
  if (problem !== undefined)
    return {
      at: offsetOf(problem, 0),
      problem: `${LISTS.map((list) => `\`${list}\``).join(', ')} of \`${name}\` must be lists`,
    };
  const pullSecret = annotations.get(fragment.pullSecret.annotation) ?? fragment.pullSecret.byDefault;
  const edits = [
    ...addPorts(pod, { fragment, document, text }),
    ...put(spec, {
      list: 'imagePullSecrets',
      entries: pullSecret === '' ? [] : [{ name: pullSecret }],
      document,
      text,
    }),
    ...put(spec, { list: 'initContainers', entries: [wanted.container], document, text }),
    ...put(spec, { list: 'volumes', entries: wanted.volumes, document, text }),
  ];
  return { outcome: { object: name, kind: edits.length > 0 ? 'injected' : 'current', warnings }, edits };
}

/** The index of our container among the other init containers: first, or after those of Istio if its sidecar is a native sidecar. */
function placeIn(items: readonly unknown[]): number {
  const others = items.map((item) => (isMap(item) ? item.get('name') : null)).filter((name) => name !== CONTAINER);
  if (!others.includes(MESH_SIDECAR)) return 0;
  return Math.max(...MESH_CONTAINERS.map((name) => others.indexOf(name) + 1));
}

/** Adds the ports of Remit to the lists of annotations. Returns how to do the same in the text, if that changes anything. */
function addPorts(
  pod: YAMLMap,
  { fragment, document, text }: { readonly fragment: Fragment; readonly document: Document; readonly text: string },
): readonly (Edit | null)[] {
  const had = annotationsOf(pod);
  const added = Object.fromEntries(
    fragment.portLists.flatMap(({ annotation, port }) => {
      const ports = (had.get(annotation) ?? '').split(',').map((each) => each.trim());
      return ports.includes(port) ? [] : [[annotation, [...ports, port].filter((each) => each !== '').join(',')]];
    }),
  );
  if (Object.keys(added).length === 0) return [];
  const isNew = Object.keys(added).every((annotation) => !had.has(annotation));
  const [metadata, annotations] = [mapAt(pod, ['metadata']), mapAt(pod, ['metadata', 'annotations'])];
  const [into, members]: readonly [YAMLMap, JsonObject] =
    annotations !== null
      ? [annotations, added]
      : metadata !== null
        ? [metadata, { annotations: added }]
        : [pod, { metadata: { annotations: added } }];
  const edit = isNew ? insertion(into, { added: members, text }) : null;
  for (const [key, value] of Object.entries(members)) into.set(key, document.createNode(value));
  return [edit];
}

/** Puts entries into a list, each instead of the entry of the same name, or first. Returns how to do the same in the text, if that changes anything. */
function put(
  spec: YAMLMap,
  at: {
    readonly list: (typeof LISTS)[number];
    readonly entries: readonly JsonObject[];
    readonly document: Document;
    readonly text: string;
  },
): readonly (Edit | null)[] {
  const { list, entries, document, text } = at;
  const found = spec.get(list, true);
  const items = isSeq(found) ? found.items : [];
  // Only for init containers the order counts.
  const place = list === 'initContainers' ? placeIn(items) : 0;
  const isPlaced = (index: number): boolean => (list === 'initContainers' ? index === place : index >= 0);
  const indexOf = (entry: JsonObject): number =>
    items.findIndex((item) => isMap(item) && item.get('name') === entry['name']);
  const changed = entries.filter((entry) => {
    const index = indexOf(entry);
    return !isPlaced(index) || !isDeepStrictEqual(jsonOf(items[index], document), entry);
  });
  if (changed.length === 0) return [];
  const isNew = place === 0 && changed.every((entry) => indexOf(entry) === -1);
  const edit = !isNew
    ? null
    : isSeq(found)
      ? insertion(found, { added: changed, text })
      : insertion(spec, { added: { [list]: changed }, text });
  for (const entry of changed) {
    const index = indexOf(entry);
    if (index >= 0) items.splice(index, 1);
  }
  items.splice(place, 0, ...changed.map((entry) => document.createNode(entry)));
  if (!isSeq(found)) spec.set(list, document.createNode(items));
  return [edit];
}

/** The value of a node; `null` if its aliases expand to too much. */
function jsonOf(node: unknown, document: Document): unknown {
  try {
    return isMap(node) ? node.toJS(document, { maxAliasCount: 100 }) : null;
  } catch {
    return null;
  }
}

/** The map at a path; `null` if there is none, or an alias on the way. */
function mapAt(map: YAMLMap, path: readonly string[]): YAMLMap | null {
  let at: Node | YAMLMap | undefined = map;
  for (const key of path) {
    if (!isMap(at) || isAlias(at)) return null;
    at = at.get(key, true) as Node | undefined;
  }
  return isMap(at) ? at : null;
}

/** The annotations of a pod that are text. */
function annotationsOf(pod: YAMLMap): ReadonlyMap<string, string> {
  const annotations = mapAt(pod, ['metadata', 'annotations']);
  const entries = (annotations?.items ?? []).flatMap(({ key, value }) =>
    isScalar(key) && isScalar(value) && typeof key.value === 'string' && typeof value.value === 'string'
      ? [[key.value, value.value] as const]
      : [],
  );
  return new Map(entries);
}

/** A sidecar of Istio that is not native starts after all init containers: it waits for Remit, which waits for its network. */
function meshWarnings(spec: YAMLMap): readonly string[] {
  const containers = spec.get('containers', true);
  const isThere =
    isSeq(containers) && containers.items.some((item) => isMap(item) && item.get('name') === MESH_SIDECAR);
  return isThere
    ? [
        `\`${MESH_SIDECAR}\` is no native sidecar, so Remit cannot reach its authority before it, and the pod may never start: set \`ENABLE_NATIVE_SIDECARS=true\` at istiod, or give the pod the annotation \`sidecar.istio.io/nativeSidecar: "true"\``,
      ]
    : [];
}

/** Our annotations that have no effect. */
function warningsOf(annotations: ReadonlyMap<string, string>, { settings }: Fragment): readonly string[] {
  const known = settings.map(({ annotation }) => annotation);
  return [...annotations.keys()]
    .filter((name) => name.startsWith('remit.dev/') && !known.includes(name))
    .map((name) => {
      const nearest = nearestOf(name, known);
      const advice =
        nearest === null ? `known are ${known.map((one) => `\`${one}\``).join(', ')}` : `did you mean \`${nearest}\`?`;
      return `unknown annotation ${JSON.stringify(name)}: ${advice}`;
    });
}

/** Such as `Deployment/web`; invalid names are quoted. */
function nameOf(object: YAMLMap): string {
  const texts = [object.get('kind'), object.getIn(['metadata', 'name']) ?? object.getIn(['metadata', 'generateName'])];
  return texts
    .map((text) =>
      typeof text === 'string' && /^[\w.-]{1,253}$/.test(text) ? text : JSON.stringify(text ?? 'unnamed'),
    )
    .join('/')
    .slice(0, 600);
}
