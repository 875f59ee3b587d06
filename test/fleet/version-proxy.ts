import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ServiceDefinition } from '@grpc/proto-loader';
import { mustFind } from '../builders/must.ts';

type Message = Readonly<Record<string, unknown>>;

/** Another version of the protocol. */
export interface OtherVersion {
  /** Its `.proto`, from that of this version. */
  readonly proto: (text: string) => string;
  /** What each message becomes on its way. */
  readonly message: (message: Message) => Message;
  /** A message that is sent before each of a stream, but not before the first; `null` for none. */
  readonly between: Message | null;
}

const FILE = 'remit/authority/v1/authority.proto';
const own = readFileSync(resolve(import.meta.dirname, '../../proto', FILE), 'utf8');

/** Throws where a text to be replaced is not there: the protocol has changed, and the version with it. */
export function replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((now, [from, to]) => {
    if (!now.includes(from)) throw new Error(`the protocol has no \`${from}\``);
    return now.replace(from, to);
  }, text);
}

/**
 * A gRPC server between a sidecar and an authority that reads and writes every message by another version of the protocol. What that version
 * does not have is lost on the way, as it would be at a party of that version; what only that version has, neither party knows.
 *
 * @returns its target, and what ends it
 */
export async function versionProxy(
  folder: string,
  target: string,
  version: OtherVersion,
): Promise<{ readonly target: string; readonly close: () => void }> {
  const file = join(folder, FILE);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, version.proto(own));
  const options = { keepCase: true, longs: Number, defaults: true, oneofs: true, includeDirs: [folder] };
  const service = loadSync(FILE, options)['remit.authority.v1.Authority'] as ServiceDefinition;
  const client = new Client(target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const server = new Server();

  const unary =
    (name: string) =>
    (call: ServerUnaryCall<Message, Message>, reply: sendUnaryData<Message>): void => {
      const { path, requestSerialize, responseDeserialize } = mustFind(service[name]);
      client.makeUnaryRequest(
        path,
        requestSerialize,
        (bytes) => responseDeserialize(bytes) as Message,
        version.message(call.request),
        (error, answer) => (error === null ? reply(null, version.message(answer ?? {})) : reply(error)),
      );
    };
  const stream =
    (name: string) =>
    (call: ServerDuplexStream<Message, Message>): void => {
      const { path, requestSerialize, responseDeserialize } = mustFind(service[name]);
      const onward = client.makeBidiStreamRequest<Message, Message>(
        path,
        requestSerialize,
        (bytes) => responseDeserialize(bytes) as Message,
      );
      const through = (from: NodeJS.ReadableStream, to: { write: (message: Message) => unknown }): void => {
        let isFirst = true;
        from.on('data', (message: Message) => {
          if (!isFirst && version.between !== null && name === 'Follow') to.write(version.between);
          isFirst = false;
          to.write(version.message(message));
        });
      };
      through(call, onward);
      through(onward, call);
      call.on('end', () => onward.end());
      call.on('cancelled', () => onward.cancel());
      onward.on('end', () => call.end());
      onward.on('error', (error) => call.emit('error', error));
    };
  const parts = (call: ServerWritableStream<Message, Message>): void => {
    const { path, requestSerialize, responseDeserialize } = mustFind(service['Bundle']);
    const onward = client.makeServerStreamRequest<Message, Message>(
      path,
      requestSerialize,
      (bytes) => responseDeserialize(bytes) as Message,
      version.message(call.request),
    );
    onward.on('data', (part: Message) => call.write(version.message(part)));
    onward.on('end', () => call.end());
    onward.on('error', (error) => call.emit('error', error));
  };
  server.addService(service, {
    Follow: stream('Follow'),
    Append: stream('Append'),
    Open: unary('Open'),
    Confirm: unary('Confirm'),
    Settle: unary('Settle'),
    ...(service['GiveBack'] === undefined ? {} : { GiveBack: unary('GiveBack') }),
    ...(service['Bundle'] === undefined ? {} : { Bundle: parts }),
  });
  const at = `unix:${join(folder, 'proxy.sock')}`;
  await new Promise<void>((settle, reject) => {
    server.bindAsync(at, ServerCredentials.createInsecure(), (error) => (error === null ? settle() : reject(error)));
  });
  return {
    target: at,
    close: () => {
      server.forceShutdown();
      client.close();
    },
  };
}
