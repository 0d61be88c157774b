import { Elysia } from 'elysia'
import { errorBody, errorHeaders, isFailure } from '../http-error.ts'
import type { Scope } from '../store/store.ts'
import type { KeyService } from './key-service.ts'

/**
 * Gives routes `scope: '…'`: who may call them. The check runs before the body is read, because no route lets Elysia
 * parse or validate one (`parse: 'none'`), so a stranger cannot make the server work.
 */
export const requireScope = (keys: KeyService) =>
  new Elysia({ name: 'require-scope' }).macro({
    scope: (needed: Scope) => ({
      async resolve({ request, set, status }) {
        const caller = await keys.authenticate(request.headers)
        if (isFailure(caller)) {
          Object.assign(set.headers, errorHeaders(caller))
          return status(401, errorBody(caller))
        }
        if (!caller.scopes.includes(needed)) {
          const message = `This key lacks the scope '${needed}'.`
          return status(403, errorBody({ code: 'forbidden', message }))
        }
        return { caller }
      },
    }),
  })
