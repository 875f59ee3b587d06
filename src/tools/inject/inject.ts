import { isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import type { Document, ToStringOptions, YAMLMap } from 'yaml';
import { nearestOf } from '../../core/runtime/nearest-name.ts';
import { placesIn } from '../../core/runtime/text-place.ts';
import { LINEAR, repeatedKeys } from '../../core/runtime/yaml-text.ts';
import { offsetOf } from '../../core/runtime/yaml-text.ts';
import { filled, INJECT_LABEL, MESH_SIDECAR } from './fragment.ts';
import type { Fragment, JsonObject } from './fragment.ts';
import type { Fragments } from './fragments.ts';
import { FORWARD_ANNOTATION, HELPER_ANNOTATION } from './helper-fragment.ts';
import type { HelperFragment } from './helper-fragment.ts';
import { helperUserOf } from './helper-user.ts';
import { mapAt, put } from './pod-lists.ts';
import type { Changed } from './pod-lists.ts';
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

/** Why the text cannot be read, or a pod in it cannot be changed. */
export interface ManifestProblem {
  /** 1-based; 0 for the whole text. */
  readonly line: number;
  readonly message: string;
}

/**
 * Adds the fragments to each workload of a text of YAML documents, or of JSON. Documents without a change are kept to the byte; of others,
 * order, comments and quotes are kept. Idempotent. Workloads and pods with the label `remit.dev/inject: disabled` get no Remit. Pods with the annotation
 * `remit.dev/agent` get the helper of a service.
 *
 * @returns the first 20 problems, and no text, if the text is longer than 16 MiB, is not YAML, has aliases on the way to a pod,
 *   or has a pod that cannot have what it asks for
 */
export function injectedInto(
  text: string,
  fragments: Fragments,
): Injected | { readonly problems: readonly ManifestProblem[] } {
  if (Buffer.byteLength(text) > MAX_MANIFEST_BYTES)
    return { problems: [{ line: 0, message: `the text is larger than ${MAX_MANIFEST_BYTES} bytes` }] };
  const lineOf = placesIn(text);
  const problems: ManifestProblem[] = [];
  const outcomes: InjectionOutcome[] = [];
  const written: string[] = [];
  let from = 0;
  const parsed = parseAllDocuments(text, { prettyErrors: false, logLevel: 'silent', ...LINEAR });
  for (const document of 'empty' in parsed ? [] : parsed) {
    const start = from;
    from = document.range[2];
    const source = text.slice(start, from);
    const invalid = document.errors
      .map(({ pos, message }) => ({ offset: pos[0], message }))
      .concat(repeatedKeys(document));
    for (const { offset, message } of invalid)
      problems.push({ line: lineOf(offset).line, message: `invalid YAML: ${message}` });
    if (invalid.length > 0) continue;
    const options = printedAs(document, source);
    const edits: (Edit | null)[] = [];
    for (const object of objectsOf(document)) {
      const result = injectObject(object, { document, fragments, text });
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
  { document, fragments, text }: Changed & { readonly fragments: Fragments },
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
  const annotations = annotationsOf(pod);
  const asked = annotations.has(HELPER_ANNOTATION) ? fragments.helper : null;
  if (isOut && asked === null) return { outcome: { object: name, kind: 'opted-out', warnings: [] }, edits: [] };
  const problem =
    listProblem(spec, name) ?? (asked === null ? null : helperProblem(spec, { annotations, helper: asked, name }));
  if (problem !== null) return problem;
  const sidecar = isOut ? null : fragments.sidecar;
  const added = [sidecar, asked].filter((one) => one !== null);
  const { containers, volumes } = filled(
    { containers: added.map(({ container }) => container), volumes: added.flatMap((one) => one.volumes) },
    ({ annotation, byDefault }) => annotations.get(annotation) ?? byDefault,
  );
  const { annotation, byDefault } = fragments.sidecar.pullSecret;
  const pullSecret = annotations.get(annotation) ?? byDefault;
  const secrets = pullSecret === '' ? [] : [{ name: pullSecret }];
  const edits = [
    ...(sidecar === null ? [] : addPorts(pod, { fragment: sidecar, document, text })),
    ...put(spec, { list: 'imagePullSecrets', entries: secrets, document, text }),
    ...put(spec, { list: 'initContainers', entries: containers, isOrdered: true, document, text }),
    ...put(spec, { list: 'volumes', entries: volumes, document, text }),
    ...(asked === null ? [] : given(spec, { annotations, helper: asked, document, text })),
  ];
  const warnings = [
    ...warningsOf(annotations, fragments),
    ...(sidecar === null ? [] : meshWarnings(spec)),
    ...(asked === null ? [] : userWarnings(spec, { annotations, helper: asked })),
  ];
  return { outcome: { object: name, kind: edits.length > 0 ? 'injected' : 'current', warnings }, edits };
}

/** What injection needs as lists, and is something else; `null` if all is well. */
function listProblem(spec: YAMLMap, name: string): ObjectProblem | null {
  const other = LISTS.map((list) => spec.get(list, true)).find(
    (list) => list !== undefined && !isSeq(list) && !(isScalar(list) && list.value === null),
  );
  if (other === undefined) return null;
  const lists = LISTS.map((list) => `\`${list}\``).join(', ');
  return { at: offsetOf(other, 0), problem: `${lists} of \`${name}\` must be lists` };
}

/** Why a pod cannot have the helper that it asks for; `null` if it can. */
function helperProblem(
  spec: YAMLMap,
  { annotations, helper, name }: AskedHelper & { readonly name: string },
): ObjectProblem | null {
  const at = offsetOf(spec, 0);
  const named = annotations.get(HELPER_ANNOTATION) ?? '';
  const service = serviceIn(spec, named);
  if (service === null)
    return {
      at,
      problem: `\`${HELPER_ANNOTATION}\` of \`${name}\` must name a container of the pod, that of the service; got ${JSON.stringify(named)}`,
    };
  if ((annotations.get(FORWARD_ANNOTATION) ?? '').trim() === '')
    return {
      at,
      problem: `\`${name}\` has \`${HELPER_ANNOTATION}\` without \`${FORWARD_ANNOTATION}\`: the upstreams of its tasks, such as \`tools=https://tools.acme.test\``,
    };
  const { problem } = helperUserOf(spec, { service, user: helper.user });
  return problem === null
    ? null
    : { at: offsetOf(service, at), problem: `the container ${JSON.stringify(named)} of \`${name}\` ${problem}` };
}

/** A pod that asks for a helper. */
interface AskedHelper {
  readonly annotations: ReadonlyMap<string, string>;
  readonly helper: HelperFragment;
}

/** A warning if nothing but the image of the service decides whether it can use its helper. */
function userWarnings(spec: YAMLMap, { annotations, helper }: AskedHelper): readonly string[] {
  const service = serviceIn(spec, annotations.get(HELPER_ANNOTATION) ?? '');
  return service === null ? [] : helperUserOf(spec, { service, user: helper.user }).warnings;
}

/** The container of a name; `null` if there is none. */
function serviceIn(spec: YAMLMap, name: string): YAMLMap | null {
  const containers = spec.get('containers', true);
  const found = isSeq(containers) ? containers.items.find((item) => isMap(item) && item.get('name') === name) : null;
  return isMap(found) ? found : null;
}

/** Gives the container of the service the folder of its helper. Returns how to do the same in the text. */
function given(
  spec: YAMLMap,
  { annotations, document, helper, text }: Changed & AskedHelper,
): readonly (Edit | null)[] {
  const service = serviceIn(spec, annotations.get(HELPER_ANNOTATION) ?? '');
  if (service === null) return [];
  const { env, volumeMounts } = helper.service;
  return [
    ...put(service, { list: 'env', entries: env, document, text }),
    ...put(service, { list: 'volumeMounts', entries: volumeMounts, document, text }),
  ];
}

/** Adds the ports of Remit to the lists of annotations. Returns how to do the same in the text, if that changes anything. */
function addPorts(
  pod: YAMLMap,
  { fragment, document, text }: Changed & { readonly fragment: Fragment },
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
function warningsOf(annotations: ReadonlyMap<string, string>, { helper, sidecar }: Fragments): readonly string[] {
  const known = [...new Set([...sidecar.settings, ...helper.settings].map(({ annotation }) => annotation))];
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
