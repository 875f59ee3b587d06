import { codes, levelOf } from '../codes.ts';
import type { Finding } from '../finding.ts';
import { extAuthz } from '../envoy/fields/check-fields.ts';
import { toolCluster } from '../envoy/fields/cluster-fields.ts';
import type { Message } from '../envoy/fields/field.ts';
import { httpFilters } from '../envoy/fields/http-filters.ts';
import { filterChain, listener } from '../envoy/fields/listener-fields.ts';
import { httpConnectionManager } from '../envoy/fields/manager-fields.ts';
import { route, routeConfiguration, virtualHost } from '../envoy/fields/route-fields.ts';
import { isSet } from '../envoy/fields/field.ts';
import { namesSecret } from '../envoy/fields/values-of-fields.ts';
import { fieldFindings } from '../envoy/fields/walk.ts';
import type { FieldJudge } from '../envoy/fields/walk.ts';
import { fromProtoJson } from '../proto-json.ts';
import { at, fieldsOf, isTrue, listAt, textAt, typeNameOf } from '../tree.ts';
import { placeOf } from './host-object.ts';
import type { HostObject } from './host-object.ts';

/** The message type of a patch, by its `applyTo`. */
const MESSAGES: ReadonlyMap<string, Message> = new Map([
  ['LISTENER', listener],
  ['FILTER_CHAIN', filterChain],
  ['ROUTE_CONFIGURATION', routeConfiguration],
  ['VIRTUAL_HOST', virtualHost],
  ['HTTP_ROUTE', route],
  ['CLUSTER', toolCluster],
]);

/** Filters whose settings a patch may change, by type. */
const MERGED: ReadonlyMap<string, Message> = new Map(
  [extAuthz, httpConnectionManager].map((message) => [message.proto, message]),
);

/** Fields that a check of a running Envoy reads, with the values by which a patch makes them stricter. */
const STRICTER: ReadonlyMap<string, (value: unknown) => boolean> = new Map<string, (value: unknown) => boolean>([
  ...['encode_raw_headers', 'require_client_certificate'].map((name) => [name, isTrue] as const),
  ['forward_client_cert_details', (value) => value === 'SANITIZE' || value === 'SANITIZE_SET'],
  ['access_log', (value) => !namesSecret(value)],
  // The listener itself is judged by its filter chains.
  ['traffic_direction', () => true],
]);

/**
 * Judges fields that have checks of their own in a whole configuration. Those checks do not see a patch, so the worst possible
 * code counts.
 */
const inPatch: FieldJudge = (path, value, by) => {
  const worst = by.find((code) => code !== 'envoy.fails-calls' && levelOf(code) === 'error');
  const isStricter = STRICTER.get(path.slice(path.lastIndexOf('.') + 1)) ?? (() => false);
  if (worst === undefined || !isSet(value) || isStricter(value)) return null;
  return {
    code: worst,
    level: isTrue(value) ? 'error' : 'warning',
    message: `\`${path}\`: a patch of it may mean ${codes.get(worst)?.about ?? ''}`,
    fix: 'remove it, or look at the running Envoy with --envoy and suppress this finding at its place',
  };
};

/** Judges the same fields of an added cluster as harmless: calls reach it only by other patches and objects, which are judged. */
const UNUSED: FieldJudge = () => null;

/** The findings about what an EnvoyFilter adds to a configuration. They follow the tables of Envoy's fields. */
export const addedFields = (object: HostObject): readonly Finding[] =>
  listAt(object.value, 'spec', 'configPatches').flatMap((patch) => patchFindings(patch, placeOf(object)));

function patchFindings(patch: unknown, where: string): readonly Finding[] {
  const [to, operation] = [textAt(patch, 'applyTo'), textAt(patch, 'patch', 'operation')];
  const value = fromProtoJson(at(patch, 'patch', 'value'));
  const any = at(value, 'typed_config');
  const message = MESSAGES.get(to) ?? (operation === 'MERGE' ? MERGED.get(typeNameOf(any)) : undefined);
  const fields = MESSAGES.has(to) ? value : fieldsOf(any);
  if (message !== undefined && operation !== 'REMOVE')
    return fieldFindings(message, fields, where, to === 'CLUSTER' && operation === 'ADD' ? UNUSED : inPatch).map(
      (finding) => ofIstio(finding),
    );
  const entry = to === 'HTTP_FILTER' ? httpFilters.get(typeNameOf(any)) : undefined;
  const side = entry === undefined ? undefined : operation === 'INSERT_FIRST' ? entry.before : entry.after;
  if (side === null) return [];
  const level = side?.level(fields) ?? null;
  if (side !== undefined && level === null) return [];
  return [
    {
      code: side === undefined ? 'istio.unseen' : 'istio.changed-call',
      where,
      ...(level === null ? {} : { level }),
      message:
        side === undefined
          ? `\`${operation}\` of a ${to}: this doctor does not know what becomes of checked calls by it`
          : `the filter \`${textAt(value, 'name')}\` ${side.message}`,
      fix: side?.fix ?? 'remove it, or look at the running Envoy with --envoy and suppress this finding at its place',
    },
  ];
}

/** The same finding, under a code of Istio. */
const ofIstio = ({ code, ...finding }: Finding): Finding => ({
  ...finding,
  code: code === 'envoy.unseen' ? 'istio.unseen' : 'istio.changed-call',
});
