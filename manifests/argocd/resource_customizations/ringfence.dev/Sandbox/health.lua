-- Sandbox follows kstatus: status.observedGeneration is -1 until the operator has seen the object,
-- and the condition Ready sums up. Base and table functions only: Argo CD offers no others.

local function result(status, message)
  return { status = status, message = message }
end

local function condition(name)
  for _, item in ipairs(obj.status.conditions or {}) do
    if item.type == name then
      return item
    end
  end
  return nil
end

local function explained(item)
  return item.reason .. ": " .. item.message
end

-- Reasons of Ready=False that pass without anybody's help.
local progressing = { Starting = true, WaitingForScheduler = true }

if obj.metadata.deletionTimestamp ~= nil then
  return result("Progressing", "The Sandbox is being deleted")
end

if obj.status == nil or obj.status.observedGeneration == nil
  or obj.status.observedGeneration < obj.metadata.generation then
  return result("Progressing", "Waiting for the Ringfence operator")
end

local ready = condition("Ready")
if ready == nil then
  return result("Progressing", "Waiting for the condition Ready")
end

if ready.status == "True" or ready.reason == "PodSucceeded" then
  return result("Healthy", explained(ready))
end

if ready.status == "Unknown" or progressing[ready.reason] then
  return result("Progressing", explained(ready))
end

return result("Degraded", explained(ready))
