import type { Finding } from '../finding.ts';
import { at, listAt, textAt } from '../tree.ts';
import { ofKind, placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';
import { isSelectedBy } from './label-selector.ts';

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
    (one) => textAt(one, 'kind') === target.kind && isSelectedBy(target.labels, one),
  );
  if (isSelected || refs.some((one) => textAt(one, 'sectionName') === '')) return 'whole';
  return refs.length > 0 ? 'part' : null;
}

/** The listeners or rules that a policy names of a target with this name; empty for all of it. */
export const sectionsOf = ({ value }: HostObject, name: string): readonly string[] =>
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

/** Whether a policy holds for the listeners of a Gateway by which calls come to a route. */
function coversParent(policy: HostObject, parent: Target): boolean {
  const part = holdsFor(policy, parent);
  return (
    part === 'whole' ||
    (part === 'part' && parent.section !== null && sectionsOf(policy, parent.name).includes(parent.section))
  );
}

/** Whether a policy holds for some of those listeners. */
const mayReach = (policy: HostObject, parent: Target): boolean =>
  coversParent(policy, parent) || (parent.section === null && holdsFor(policy, parent) === 'part');

/** Of two policies for a Gateway the older counts, which files do not say; a policy of a listener goes before that of its Gateway. */
const rivalOf = (policy: HostObject, route: HostObject): Finding => ({
  code: 'envoy-gateway.overridden',
  where: placeOf(policy),
  message: `it is for the Gateway of \`${route.name}\`, or for a listener of it, as the policy that asks Remit is, and has no \`extAuth\`: if it counts, calls reach the tool unchecked`,
  fix: 'put what it says into the policy that asks Remit, or give it the `extAuth` of that policy',
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
  const isCovered = (parent: Target): boolean => asking.some((one) => coversParent(one, parent));
  if (parents.length > 0 && parents.every(isCovered)) {
    const rival = policies.find((one) => !asks(one) && parents.some((parent) => mayReach(one, parent)));
    return rival === undefined ? [] : [rivalOf(rival, route)];
  }
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
