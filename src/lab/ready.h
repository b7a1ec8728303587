// ready.h: waits until a lab is in a state, by looking, with a limit. The only place of the lab that passes time.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "lab/lab.h"

namespace lab {

// Looks every 20 ms. Empty when `problem` became empty in time, else what it said last.
std::string wait_until(std::chrono::milliseconds limit, const std::function<std::string()>& problem);
void pause_for(std::chrono::milliseconds time);

// What keeps the lab from being ready: an agent, a BGP session, a guest's route on the router. Empty: nothing.
std::string not_ready(const Lab& lab);

}  // namespace lab
