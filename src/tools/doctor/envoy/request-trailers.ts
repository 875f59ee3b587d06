import { isTrueAt, listAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import { settingOf } from './http-manager.ts';
import type { HttpFilter } from './http-manager.ts';
import { ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** No trailer of a request reaches a tool: Envoy asks before they arrive. */
export const noRequestTrailers: EnvoyCheck = {
  title: 'no trailer of a call reaches the tool unseen',
  run: (facts) => ofAskings(facts, trailers),
};

function trailers({ filter, manager }: Asking): readonly Finding[] {
  const { fields, filters, routes, where } = manager;
  const isPlain =
    textAt(fields, 'codec_type') === 'HTTP1' && !isTrueAt(fields, 'http_protocol_options', 'enable_trailers');
  const removing = filters.slice(0, filters.indexOf(filter)).filter(removesAll);
  const isRemoved = removing.some(
    (one) => !one.isDisabled && routes.every((route) => !settingOf(one, route).isDisabled),
  );
  return isPlain || isRemoved
    ? []
    : [
        {
          code: 'envoy.request-trailers',
          where,
          message:
            'trailers of a request over HTTP/2 or HTTP/3 arrive after its check: they pass to the tool, and Remit never sees them',
          fix: 'take the filter `envoy.filters.http.header_mutation` of deploy/envoy/envoy.yaml, before the ext_authz filter',
        },
      ];
}

/** Whether a filter is the shipped filter; equivalent filters are not recognised. */
const removesAll = ({ type, fields }: HttpFilter): boolean =>
  type === 'HeaderMutation' &&
  listAt(fields, 'mutations', 'request_trailers_mutations').some(
    (one) => textAt(one, 'remove_on_match', 'key_matcher', 'safe_regex', 'regex') === '.*',
  );
