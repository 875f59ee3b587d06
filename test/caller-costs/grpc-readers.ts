import { actionFrom } from '../../src/core/action/action.ts';
import { catalogFrom } from '../../src/core/action/catalog/catalog-assembly.ts';
import { descriptorSetsIn } from '../../src/core/action/catalog/catalog-descriptor-sets.ts';
import { encoded, framed, shopSet } from '../core/action/grpc/protobuf/shop.ts';
import { headersOf, httpCall } from '../builders/http-call.ts';
import { must } from '../builders/must.ts';
import { pieces } from './reader.ts';
import type { Readers } from './reader.ts';

const catalog = must(
  catalogFrom(
    `servers:
  shop:
    hosts: [shop.acme.test]
    audience: https://shop.acme.test
    grpc:
      descriptorSet: shop.binpb
      services:
        acme.shop.v1.Shop:
          methods:
            PlaceOrder:
              action: shop.order
              risk: high
              args: { customer: { maxBytes: 65536 }, amount: { field: order.amount_cents, type: long } }
`,
    'actions.yaml',
    await descriptorSetsIn(new Map([['shop.binpb', shopSet]])),
  ),
);

const placed = (message: Uint8Array, type = 'application/grpc'): unknown =>
  actionFrom(
    httpCall({
      method: 'POST',
      host: 'shop.acme.test',
      path: '/acme.shop.v1.Shop/PlaceOrder',
      headers: headersOf({ 'content-type': type }),
      body: framed(message),
    }),
    catalog,
  );

/** The readers of gRPC messages. */
export const grpcReaders: Readers = {
  'core/action/grpc/grpc.ts grpcActionFrom': {
    bytes: (text) => placed(Buffer.from(text)),
    string: (text) => placed(encoded({ customer: text })),
    'other fields': (text) => placed(encoded({ reference: text, tags: pieces(text) })),
    'content type': (text) => placed(encoded({ customer: 'x' }), text),
  },
};

/** Exports that are called by those. */
export const notOfGrpc: Readonly<Record<string, string>> = {
  'core/action/grpc/protobuf/message-values.ts': 'called by grpcActionFrom',
  'core/action/grpc/protobuf/other-fields.ts otherFields': 'called by grpcActionFrom',
  'core/action/grpc/protobuf/scalar.ts': 'called by grpcActionFrom',
  'core/action/grpc/protobuf/strict-scan.ts': 'called by grpcActionFrom',
};
