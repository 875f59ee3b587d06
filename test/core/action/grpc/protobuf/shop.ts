import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import type { MessageTypeDefinition, ServiceDefinition } from '@grpc/proto-loader';

/**
 * The descriptor set of the three `.proto` files beside this one, written by `protoc` 35.1:
 * `protoc --include_imports --descriptor_set_out=shop.binpb shop.proto legacy.proto edition.proto`.
 */
export const shopSet: Uint8Array = readFileSync(join(import.meta.dirname, 'shop.binpb'));

const definitions = loadSync('shop.proto', {
  keepCase: true,
  longs: String,
  includeDirs: [import.meta.dirname],
});

const request = definitions['acme.shop.v1.PlaceOrderRequest'] as MessageTypeDefinition<object, object>;

/** The service definition for grpc-js. */
export const shopService = definitions['acme.shop.v1.Shop'] as ServiceDefinition;

/** A request to place an order, encoded by protobufjs. */
export const encoded = (order: object): Uint8Array => request.serialize(order);

/** Decodes the request with protobufjs: absent fields are absent, 64-bit numbers are strings, enums are numbers. Throws. */
export const decoded = (bytes: Uint8Array): unknown => request.deserialize(Buffer.from(bytes));

/** The same set by protobufjs: other type names, `optional` not marked. */
export const loadedSet: Uint8Array = Buffer.concat(
  request.fileDescriptorProtos.flatMap((file) => [fieldHead(1, file.length), file]),
);

/** Writes the descriptor sets of two versions of one service to a folder. */
export function twoVersionsSet(folder: string): Uint8Array {
  const files = ['v1', 'v2'].map((version) => {
    const file = join(folder, `${version}.proto`);
    const more = version === 'v1' ? '' : 'service Carts { rpc Clear(Ask) returns (Ask); }';
    writeFileSync(
      file,
      `syntax = "proto3"; package acme.shop.${version}; message Ask { string name = 1; }
service Shop { rpc GetOrder(Ask) returns (Ask); } ${more}`,
    );
    const made = loadSync(file)[`acme.shop.${version}.Ask`] as MessageTypeDefinition<object, object>;
    return Buffer.concat(made.fileDescriptorProtos.flatMap((one) => [fieldHead(1, one.length), one]));
  });
  return Buffer.concat(files);
}

/** Tag and length of a length-delimited field. */
export function fieldHead(number: number, length: number): Uint8Array {
  return Buffer.concat([varint(BigInt(number * 8 + 2)), varint(BigInt(length))]);
}

/** A varint in its shortest form; negative ones in ten bytes. */
export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  do {
    bytes.push(Number(left & 0x7fn) | (left > 0x7fn ? 0x80 : 0));
    left >>= 7n;
  } while (left > 0n);
  return Uint8Array.from(bytes);
}

/** A message framed as the body of a unary call. */
export function framed(message: Uint8Array, flag = 0): Uint8Array {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
