-- Reading where a foreign hand may have made something else of a key: that is answered as an error, which the caller
-- takes for nothing there. Any other error is raised: a right that the caller lacks is no damage, and nobody may take a
-- job for unknown because of it. Kind of command and of key are named, never a whole key.
--
-- What a script does to counts, lists and indexes after its first write to a job is `redis.pcall`'s instead: nothing that
-- was begun may end half way.
local function lenient(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) == 'table' and found.err and not found.err:find('WRONGTYPE', 1, true) then
    error({err = found.err .. ' (' .. command .. ' ' .. key:match('^%w+[:.]?%w*') .. ')'})
  end
  return found
end
