import { at, isTrueAt, listAt, textAt, typeNameOf } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import { httpFilters } from './fields/http-filters.ts';
import { router } from './fields/cluster-fields.ts';
import { fieldFindings } from './fields/walk.ts';
import { settingOf } from './http-manager.ts';
import { grpcClusterOf } from './reach/cluster.ts';
import type { HttpFilter, HttpManager } from './http-manager.ts';
import { ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** Every filter of a chain that asks Remit is known, and harmless at its place. */
export const knownFilters: EnvoyCheck = {
  title: 'each filter before and after the check is known, and harmless there',
  run: (facts) =>
    ofAskings(facts, (asking) => [
      ...others(asking),
      ...delivered(asking),
      ...routers(asking),
      ...claimedMetadata(asking),
    ]),
};

/** Filters that this Envoy runs for a call: those that are on, or that a route switches on. */
const isRun = (filter: HttpFilter, { routes }: HttpManager): boolean =>
  !filter.isDisabled || routes.some((route) => !settingOf(filter, route).isDisabled);

function others({ filter: own, manager }: Asking): readonly Finding[] {
  const { filters, where } = manager;
  const place = filters.indexOf(own);
  const end = filters.findIndex(({ type }) => type === 'Router');
  return filters.flatMap((filter, index): readonly Finding[] => {
    if (filter === own || (end !== -1 && index >= end) || isSameCheck(filter, own) || !isRun(filter, manager))
      return [];
    const entry = httpFilters.get(filter.typeName);
    if (entry === undefined) return [unknownFilter(filter, where)];
    const side = index < place ? entry.before : entry.after;
    const level = side?.level(filter.fields) ?? null;
    if (side === null || level === null) return [];
    const { code, fix, message } = side;
    return [{ code, where, level, message: `the filter \`${filter.name}\` ${message}`, fix }];
  });
}

/** A second filter that asks Remit has a finding of its own. */
const isSameCheck = (filter: HttpFilter, own: HttpFilter): boolean =>
  filter.type === 'ExtAuthz' && grpcClusterOf(filter.fields) === grpcClusterOf(own.fields);

const unknownFilter = ({ name, typeName }: HttpFilter, where: string): Finding => ({
  code: 'envoy.unseen',
  where,
  message:
    typeName === ''
      ? `the filter \`${name}\` arrives while Envoy runs, so nothing says what it does to calls`
      : `the filter \`${name}\` has the type \`${typeName}\`, which this doctor does not know: it may change calls, or answer them`,
  fix: 'remove it, or look at what it does and suppress this finding at its place; a newer doctor may know it',
});

/** The filter of Remit must be there from the first call on. */
function delivered({ filter: { entry, name }, manager: { where } }: Asking): readonly Finding[] {
  const fix = 'write the filter into the chain itself, and without `is_optional`';
  const source = at(entry, 'config_discovery');
  const fallback = at(source, 'default_config');
  const found: Finding[] = [];
  if (isTrueAt(entry, 'is_optional'))
    found.push({
      code: 'envoy.never-asked',
      where,
      message: `the filter \`${name}\` is optional: an Envoy that was built without it drops it in silence`,
      fix,
    });
  if (fallback !== undefined && !typeNameOf(fallback).endsWith('.ExtAuthz'))
    found.push({
      code: 'envoy.never-asked',
      where,
      message: `until the filter \`${name}\` has arrived, another filter takes its place that asks nobody`,
      fix,
    });
  return found;
}

const routers = ({ manager: { filters, where } }: Asking): readonly Finding[] =>
  filters.filter(({ type }) => type === 'Router').flatMap(({ fields }) => fieldFindings(router, fields, where));

/** The namespace of a rule that names none. */
const COPIED_TO = 'envoy.filters.http.header_to_metadata';

/** Metadata that Remit gets must not come from headers of the client, by a rule of the filter or of a route. */
function claimedMetadata({ filter, manager: { filters, routes, where } }: Asking): readonly Finding[] {
  const sent = new Set(listAt(filter.fields, 'metadata_context_namespaces'));
  const writers = filters.filter(
    (one) =>
      one.typeName.includes('header_to_metadata') &&
      [one.fields, ...routes.map((route) => settingOf(one, route).fields)]
        .flatMap((fields) => listAt(fields, 'request_rules'))
        .some((rule) =>
          ['on_header_present', 'on_header_missing'].some(
            (name) => at(rule, name) !== undefined && sent.has(textAt(rule, name, 'metadata_namespace') || COPIED_TO),
          ),
        ),
  );
  return writers.map(({ name }) => ({
    code: 'envoy.certificate-unverified' as const,
    where,
    message: `the filter \`${name}\` copies headers of the client into metadata that Remit gets: with \`certificateFrom: metadata\` a client brings its own identity`,
    fix: 'remove the rule, or the namespace from `metadata_context_namespaces`',
  }));
}
