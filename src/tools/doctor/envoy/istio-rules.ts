import { at, fieldsOf, isTrueAt, listAt, membersAt, textAt, typeOf } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { HttpManager } from './http-manager.ts';
import { managersOf, ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import { isAny } from './values.ts';

const UNCONDITIONAL = 'use `rules: [{}]` in the AuthorizationPolicy, and let the policies of Remit tell calls apart';

/** The filter does not depend on a match before it. */
export const unconditional: EnvoyCheck = {
  title: 'Remit is asked whatever path, method or header a call has',
  run: (facts) => ofAskings(facts, conditions),
};

/** Istio switches the filter on by a shadow rule of RBAC, which sees another form of the path than the upstream. */
function conditions({ filter, manager }: Asking): readonly Finding[] {
  const gate = at(filter.fields, 'filter_enabled_metadata');
  if (gate === undefined || isTrueAt(filter.fields, 'deny_at_disable', 'default_value')) return [];
  const policies = gatesOf(manager.filters.filter(({ type }) => type === 'RBAC').map(({ fields }) => fields));
  if (policies.some(matchesAll)) return [];
  const by =
    policies.length > 0
      ? 'the rules of an AuthorizationPolicy match'
      : `metadata of \`${textAt(gate, 'filter')}\` match`;
  return [
    {
      code: 'envoy.conditional',
      where: manager.where,
      message: `Remit is asked only if ${by}: \`//v1/x\` and \`/v1%2Fx\` do not match a rule for \`/v1/*\`, and pass unchecked`,
      fix: UNCONDITIONAL,
    },
  ];
}

/** Whether a check of connections depends on no rule, or on a rule that matches each connection. @param filters of its chain */
export const isAlwaysOn = (check: unknown, filters: readonly unknown[]): boolean =>
  at(check, 'filter_enabled_metadata') === undefined ||
  gatesOf(filters.filter((filter) => typeOf(filter) === 'RBAC').map(fieldsOf)).some(matchesAll);

/** The shadow policies by which Istio switches a check on. */
const gatesOf = (filters: readonly unknown[]): readonly unknown[] =>
  filters.flatMap((fields) => listOfPolicies(fields, 'shadow_rules').map(([, policy]) => policy));

const matchesAll = (policy: unknown): boolean =>
  at(policy, 'condition') === undefined &&
  listAt(policy, 'permissions').some((one) => isAny(one)) &&
  listAt(policy, 'principals').some((one) => isAny(one));

/** Istio could find the provider of each policy. */
export const knownProvider: EnvoyCheck = {
  title: 'the control plane could resolve every provider',
  run: (facts) => {
    const managers = managersOf(facts).filter(({ filters }) => filters.some(({ type }) => type === 'RBAC'));
    return managers.length === 0 ? null : managers.flatMap(badProvider);
  },
};

function badProvider({ filters, where }: HttpManager): readonly Finding[] {
  const names = filters.flatMap(({ fields }) => listOfPolicies(fields, 'rules').map(([name]) => name));
  const bad = names.find((name) => name.includes('bad-CUSTOM-action'));
  return bad === undefined
    ? []
    : [
        {
          code: 'envoy.bad-provider',
          where,
          message: `every call is denied by \`${bad}\`: the provider of the AuthorizationPolicy, or its service, is not known to istiod`,
          fix: 'write the name in `extensionProviders` of the mesh configuration into `provider.name`, and a service that exists into the provider',
        },
      ];
}

const listOfPolicies = (fields: unknown, rules: 'rules' | 'shadow_rules'): readonly (readonly [string, unknown])[] =>
  membersAt(fields, rules, 'policies');
