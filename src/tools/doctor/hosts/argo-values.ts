/** Values of Helm charts in an Application or ApplicationSet of Argo CD, as far as they are inline. */
import { isObject } from '../../../core/runtime/fields.ts';
import { counted } from '../counted.ts';
import { at, isTrueAt, listAt, textAt } from '../tree.ts';

/** Parses the first document of a YAML text; `undefined` if it is not YAML. */
type Parse = (text: string) => unknown;

/**
 * The inline values of each chart: `valuesObject`, otherwise `values`, and over them `parameters`, as Argo CD gives them to Helm. Empty for any
 * other object.
 *
 * @see https://argo-cd.readthedocs.io/en/stable/user-guide/helm/#helm-value-precedence
 */
export const argoValuesOf = (value: unknown, parse: Parse): readonly unknown[] =>
  chartsOf(value).map((chart) => parameterized(inlineOf(chart, parse), parametersOf(chart)));

const KINDS: ReadonlySet<string> = new Set(['Application', 'ApplicationSet']);

/** The sources of an Application that are charts. `source` does not count beside `sources`. */
function chartsOf(value: unknown): readonly unknown[] {
  const kind = textAt(value, 'kind');
  if (!KINDS.has(kind) || !textAt(value, 'apiVersion').startsWith('argoproj.io/')) return [];
  const spec = kind === 'Application' ? at(value, 'spec') : at(value, 'spec', 'template', 'spec');
  const sources = listAt(spec, 'sources');
  return (sources.length === 0 ? [at(spec, 'source')] : sources).filter(
    (source) => at(source, 'helm') !== undefined || at(source, 'chart') !== undefined,
  );
}

const inlineOf = (chart: unknown, parse: Parse): unknown =>
  at(chart, 'helm', 'valuesObject') ?? parse(textAt(chart, 'helm', 'values'));

/** A parameter, as `--set NAME=VALUE` of Helm takes it. */
interface Parameter {
  readonly name: string;
  /** `null` if the name is not read, such as one with an unclosed bracket. */
  readonly path: readonly (string | number)[] | null;
  readonly value: unknown;
}

const parametersOf = (chart: unknown): readonly Parameter[] =>
  listAt(chart, 'helm', 'parameters').map((one) => {
    const [name, text] = [textAt(one, 'name'), textAt(one, 'value')];
    return { name, path: pathFrom(name), value: isTrueAt(one, 'forceString') ? text : typed(text) };
  });

/** One step of a name: a key, in which `\` takes the next character as it is, or an index. */
const STEP = /(?:^|\.)((?:[^.[\]\\,=]|\\.)+)|\[(\d{1,3})\]/gsy;
const MAX_STEPS = 40;

/** The path that the name of a parameter writes: `a.b\.c[0].d`. */
function pathFrom(name: string): Parameter['path'] {
  const steps = [...name.matchAll(STEP)];
  const length = steps.reduce((sum, [step]) => sum + step.length, 0);
  if (length !== name.length || steps.length === 0 || steps.length > MAX_STEPS) return null;
  return steps.map(([, key, index]) => (key === undefined ? Number(index) : key.replaceAll(/\\(.)/gs, '$1')));
}

/** A value as Helm's `--set` types it. */
function typed(text: string): unknown {
  if (!text.startsWith('{') || !text.endsWith('}')) return scalar(text);
  const inner = text.slice(1, -1);
  return inner === '' ? [] : inner.split(',').map(scalar);
}

const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

const scalar = (text: string): unknown =>
  WORDS.has(text) ? WORDS.get(text) : /^(?:0|-?[1-9]\d{0,14})$/.test(text) ? Number(text) : text;

const parameterized = (values: unknown, parameters: readonly Parameter[]): unknown =>
  parameters.reduce((under, { path, value }) => (path === null ? under : withValue(under, path, value)), values);

/** The same values with another at a path. A computed key is an own member, whatever its name is. */
function withValue(under: unknown, [step, ...rest]: readonly (string | number)[], value: unknown): unknown {
  if (step === undefined) return value;
  if (typeof step === 'string') {
    const own = isObject(under) ? under : {};
    return { ...own, [step]: withValue(at(own, step), rest, value) };
  }
  const list: unknown[] = Array.isArray(under) ? [...under] : [];
  while (list.length <= step) list.push(null);
  list[step] = withValue(list[step], rest, value);
  return list;
}

/** A document of a file, as far as a note names it. */
interface Document {
  readonly file: string;
  readonly kind: string;
  readonly name: string;
  readonly value: unknown;
}

/** Most Applications that are named. */
const MAX_NAMED = 5;

/** Lines that say what was not read of the charts of Applications, and the way out. Empty if `documents` has none. */
export function argoNotes(documents: readonly Document[], parse: Parse): readonly string[] {
  const notes = documents
    .filter(({ kind, value }) => KINDS.has(kind) && chartsOf(value).length > 0)
    .map((one) => noteOf(one, parse));
  const more = notes.length - MAX_NAMED;
  return notes
    .slice(0, MAX_NAMED)
    .concat(more > 0 ? [`${counted(more, 'more Application')} of Argo CD in the same way`] : []);
}

function noteOf({ file, kind, name, value }: Document, parse: Parse): string {
  const unread = [...new Set(chartsOf(value).flatMap((chart) => unreadOf(chart, parse)))];
  const beside = unread.length === 0 ? '' : `, nor ${unread.join(', ')}`;
  const app = kind === 'Application' ? name : 'NAME';
  return `${file}: ${kind} ${name} by its inline values, not what its chart renders${beside}: save the output of \`argocd app manifests ${app}\`, and name that file with -f too`;
}

/** What decides about the values of a chart and was not read, in words. */
const unreadOf = (chart: unknown, parse: Parse): readonly string[] => [
  ...['valueFiles', 'fileParameters'].flatMap((list) =>
    listAt(chart, 'helm', list).length > 0 ? [`\`${list}\``] : [],
  ),
  ...(isUnreadable(chart, parse) ? ['`values`, which are not YAML'] : []),
  ...parametersOf(chart).flatMap(({ name, path }) => (path === null ? [`the parameter \`${name}\``] : [])),
];

const isUnreadable = (chart: unknown, parse: Parse): boolean => {
  const text = textAt(chart, 'helm', 'values');
  return text !== '' && at(chart, 'helm', 'valuesObject') === undefined && !isObject(parse(text));
};
