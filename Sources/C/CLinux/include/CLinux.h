// What Swift's Glibc module lacks: epoll, eventfd, signalfd, variadic and macro-only calls. No logic lives here.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
