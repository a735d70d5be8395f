// The npm packages live in build/clients (install.sh), outside of the sources.
import { createRequire } from 'node:module';

export const require = createRequire(new URL('../../build/clients/package.json', import.meta.url));

export const Redis = require('ioredis').Redis;
export const { WebSocketServer } = require('ws');

// By its file: the build that `require` finds is none that Node can load.
export const load = (file) => import(new URL(`../../build/clients/node_modules/${file}`, import.meta.url));
