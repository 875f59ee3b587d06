import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';

/** Envoy's own protos from another package: the reference for this project's subset. They are older than `CheckResponse.error_response`. */
const deps = join(dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js-xds/package.json')), 'deps');

const includeDirs = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(deps, name));
const definitions = {
  ...loadSync('envoy/service/auth/v3/external_auth.proto', { keepCase: true, includeDirs }),
  ...loadSync('envoy/service/accesslog/v3/als.proto', { keepCase: true, longs: Number, includeDirs }),
};

/** The subset of them that this project has in `proto/`. */
const ownDirs = [resolve(import.meta.dirname, '../../../proto')];
const subset = {
  ...loadSync('envoy/service/auth/v3/external_auth.proto', { keepCase: true, includeDirs: ownDirs }),
  ...loadSync('envoy/service/accesslog/v3/als.proto', { keepCase: true, longs: Number, includeDirs: ownDirs }),
};

const messageNamed = (name: string, from = definitions): MessageTypeDefinition<object, object> => {
  const definition = from[name];
  if (definition === undefined || !('deserialize' in definition)) throw new Error(`no message \`${name}\``);
  return definition as MessageTypeDefinition<object, object>;
};

export const envoyCheckRequestType = messageNamed('envoy.service.auth.v3.CheckRequest');
export const envoyCheckResponseType = messageNamed('envoy.service.auth.v3.CheckResponse');
export const envoyAccessLogMessageType = messageNamed('envoy.service.accesslog.v3.StreamAccessLogsMessage');
export const envoyAccessLogEntryType = messageNamed('envoy.data.accesslog.v3.HTTPAccessLogEntry');

export const checkRequestType = messageNamed('envoy.service.auth.v3.CheckRequest', subset);
export const checkResponseType = messageNamed('envoy.service.auth.v3.CheckResponse', subset);
export const accessLogEntryType = messageNamed('envoy.data.accesslog.v3.HTTPAccessLogEntry', subset);

/** A header of a CheckResponse, as decoded. */
export interface DecodedHeaderOption {
  readonly header?: { readonly key?: string; readonly value?: string };
  readonly append?: { readonly value?: boolean };
  readonly append_action?: number;
}

/** A CheckResponse, as decoded: absent fields are absent. */
export interface DecodedCheckResponse {
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly denied_response?: {
    readonly status?: { readonly code?: number };
    readonly headers?: readonly DecodedHeaderOption[];
    readonly body?: string;
  };
  readonly ok_response?: {
    readonly headers?: readonly DecodedHeaderOption[];
    readonly headers_to_remove?: readonly string[];
  };
  readonly dynamic_metadata?: { readonly fields?: Readonly<Record<string, { readonly stringValue?: string }>> };
}

/** What Envoy reads from these bytes. */
export const readAsEnvoy = (bytes: Uint8Array): DecodedCheckResponse =>
  envoyCheckResponseType.deserialize(Buffer.from(bytes));

/** Names and values of headers of a CheckResponse. */
export const valuesOf = (headers: readonly DecodedHeaderOption[] = []): Readonly<Record<string, string>> =>
  Object.fromEntries(headers.map(({ header }) => [header?.key ?? '', header?.value ?? '']));
