import type { Finding } from '../finding.ts';
import { at, listAt, membersAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';

const GROUP = 'gateway.envoyproxy.io';

/** Something that a policy may hold for. */
interface Target {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  /** The listener that a route names of its Gateway; `null` for all of them. */
  readonly section: string | null;
}

/** Whether a policy holds for a target: for all of it, for a listener or rule of it, or not. */
export function holdsFor({ namespace, value }: HostObject, target: Omit<Target, 'section'>): 'whole' | 'part' | null {
  if (namespace !== target.namespace) return null;
  const refs = [...listAt(value, 'spec', 'targetRefs'), at(value, 'spec', 'targetRef')].filter(
    (one) => textAt(one, 'kind') === target.kind && textAt(one, 'name') === target.name,
  );
  const isSelected = listAt(value, 'spec', 'targetSelectors').some(
    (one) => textAt(one, 'kind') === target.kind && hasLabels(target.labels, one),
  );
  if (isSelected || refs.some((one) => textAt(one, 'sectionName') === '')) return 'whole';
  return refs.length > 0 ? 'part' : null;
}

/** `matchExpressions` are not evaluated: a selector with them counts as selecting nothing. */
const hasLabels = (labels: ReadonlyMap<string, string>, selector: unknown): boolean =>
  listAt(selector, 'matchExpressions').length === 0 &&
  membersAt(selector, 'matchLabels').every(([name, value]) => labels.get(name) === value);

const sectionsOf = ({ value }: HostObject, name: string): readonly string[] =>
  [...listAt(value, 'spec', 'targetRefs'), at(value, 'spec', 'targetRef')]
    .filter((one) => textAt(one, 'name') === name)
    .map((one) => textAt(one, 'sectionName'));

const asks = ({ value }: HostObject): boolean => at(value, 'spec', 'extAuth') !== undefined;

/** A policy with `mergeType` is merged with that of the Gateway, and does not replace it. */
const isAlone = ({ value }: HostObject): boolean => textAt(value, 'spec', 'mergeType') === '';

const parentsOf = (route: HostObject, objects: readonly HostObject[]): readonly Target[] =>
  listAt(route.value, 'spec', 'parentRefs').map((one) => {
    const [name, namespace] = [textAt(one, 'name'), textAt(one, 'namespace') || route.namespace];
    const gateway = ofKind(objects, 'Gateway').find((each) => each.name === name && each.namespace === namespace);
    const section = textAt(one, 'sectionName');
    return {
      kind: 'Gateway',
      name,
      namespace,
      labels: gateway?.labels ?? new Map(),
      section: section === '' ? null : section,
    };
  });

/** The policy that holds for a route: its own policy replaces those of its gateways entirely. */
export function coverageOf(route: HostObject, objects: readonly HostObject[]): readonly Finding[] {
  const policies = ofKind(objects, 'SecurityPolicy', GROUP);
  const silent = policies.find((one) => holdsFor(one, route) !== null && !asks(one) && isAlone(one));
  if (silent !== undefined)
    return [
      {
        code: 'envoy-gateway.overridden',
        where: placeOf(silent),
        message: `it takes the place of the policy of the Gateway for \`${route.name}\` and has no \`extAuth\`: calls reach the tool unchecked`,
        fix: 'add the `extAuth` of deploy/hosts/envoy-gateway/security.yaml to it, or remove it',
      },
    ];
  const asking = policies.filter(asks);
  if (asking.some((one) => holdsFor(one, route) === 'whole')) return [];
  const parents = parentsOf(route, objects);
  const isCovered = (parent: Target): boolean =>
    asking.some((one) => {
      const part = holdsFor(one, parent);
      return (
        part === 'whole' ||
        (part === 'part' && parent.section !== null && sectionsOf(one, parent.name).includes(parent.section))
      );
    });
  if (parents.length > 0 && parents.every(isCovered)) return [];
  const isPartly = asking.some(
    (one) => holdsFor(one, route) !== null || parents.some((parent) => holdsFor(one, parent) !== null),
  );
  return [
    {
      code: 'envoy-gateway.never-asked',
      where: placeOf(route),
      message: isPartly
        ? 'the SecurityPolicy with `extAuth` names one listener, rule or Gateway alone (`sectionName`), and others lead here: their calls reach the tool unchecked'
        : 'no SecurityPolicy with `extAuth` targets it or its Gateway: its calls reach the tool unchecked',
      fix: 'add deploy/hosts/envoy-gateway/security.yaml for its Gateway, without `sectionName`',
    },
  ];
}
